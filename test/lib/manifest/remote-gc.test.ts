import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../../src/lib/base/clock.ts';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { generate } from '../../../src/lib/manifest/generate.ts';
import { rollback } from '../../../src/lib/manifest/history.ts';
import { LEASE_MS, openIntent } from '../../../src/lib/manifest/intents.ts';
import {
  contentKey,
  fileKey,
  gcMarkKey,
  intentKey,
  manifestKey,
  releasedKey,
} from '../../../src/lib/manifest/key-layout.ts';
import { pinVersion } from '../../../src/lib/manifest/pinned.ts';
import { setPin } from '../../../src/lib/manifest/pins.ts';
import type { PutDeps } from '../../../src/lib/manifest/put.ts';
import { collectRemote, type RemoteGcReport } from '../../../src/lib/manifest/remote-gc.ts';
import { removeFiles } from '../../../src/lib/manifest/remove.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import { FaultyS3, type LoggedRequest } from '../../support/faulty-s3.ts';
import { listKeys, manifestDeps, putObject } from '../../support/manifest-deps.ts';
import { openS3Store } from '../../support/s3-store.ts';

const DAY_MS = 24 * 3_600_000;
let nowMs: number;
let store: MemoryObjectStore;
let deps: PutDeps;

beforeEach(() => {
  nowMs = Date.UTC(2026, 0, 1);
  const clock: Clock = { ...systemClock, nowMs: () => nowMs };
  store = new MemoryObjectStore({ clock });
  deps = { ...manifestDeps(store), clock };
});

async function publishFiles(files: Record<string, string>): Promise<number> {
  for (const [path, content] of Object.entries(files)) await putObject(store, fileKey('dev', path), content);
  return (await generate(deps, { ns: 'dev', patterns: [], pageSizeBytes: 65536 })).version;
}

function gc(options: { keep: number; dryRun?: boolean; graceMs?: number }): Promise<RemoteGcReport> {
  return collectRemote(deps, { ns: 'dev', dryRun: false, ...options });
}

const files = (): Promise<string[]> => listKeys(store, 'namespaces/dev/files/');

describe('gc of the bucket', () => {
  beforeEach(async () => {
    await publishFiles({ a: 'a', b: 'b', c: 'c' });
    await removeFiles(deps, { ns: 'dev', paths: ['a'] });
    await removeFiles(deps, { ns: 'dev', paths: ['b'] });
    nowMs += 2 * DAY_MS;
  });

  test('removes old versions and the objects that only they named', async () => {
    const report = await gc({ keep: 2 });
    expect(report).toMatchObject({ keptVersions: [3, 2], removedVersions: [1], objects: 1, objectBytes: 1 });
    expect(await files()).toEqual([fileKey('dev', 'b'), fileKey('dev', 'c')]);
    await expect(pinVersion(deps, 'dev', { kind: 'version', version: 1 })).rejects.toMatchObject({
      code: 'version_not_found',
    });
    await gc({ keep: 1 });
    expect(await files()).toEqual([fileKey('dev', 'c')]);
    expect(await listKeys(store, 'namespaces/dev/manifests/')).toEqual([manifestKey('dev', 3)]);
  });

  test('says in a dry run exactly what it then does, and changes nothing', async () => {
    const before = await listKeys(store, '');
    const dry = await gc({ keep: 1, dryRun: true });
    expect(await listKeys(store, '')).toEqual(before);
    expect(await gc({ keep: 1 })).toEqual({ ...dry, dryRun: false });
  });

  test('keeps pinned versions and their objects', async () => {
    await setPin(deps, { ns: 'dev', name: 'run-7', version: 1 });
    expect(await gc({ keep: 1 })).toMatchObject({
      keptVersions: [3, 1],
      youngVersions: [],
      removedVersions: [2],
      objects: 0,
    });
    expect(await files()).toHaveLength(3);
  });

  test('keeps what was current until lately', async () => {
    await removeFiles(deps, { ns: 'dev', paths: ['c'] });
    expect(await gc({ keep: 1 })).toMatchObject({ keptVersions: [4, 3], youngVersions: [3], removedVersions: [2, 1] });
    expect(await files()).toEqual([fileKey('dev', 'c')]);
    nowMs += 2 * DAY_MS;
    expect(await gc({ keep: 1 })).toMatchObject({ keptVersions: [4], removedVersions: [3] });
    expect(await files()).toEqual([]);
  });

  test('never removes a plain object that nobody published, nor one that was written again since', async () => {
    await putObject(store, fileKey('dev', 'uploaded'), 'not published yet');
    await putObject(store, fileKey('dev', 'a'), 'another a');
    nowMs += 2 * DAY_MS;
    await gc({ keep: 1 });
    expect(await files()).toEqual([fileKey('dev', 'a'), fileKey('dev', 'c'), fileKey('dev', 'uploaded')]);
  });

  test('finds the plain objects again that a gc which died had left behind', async () => {
    const inner = store.delete.bind(store);
    store.delete = (request) =>
      request.keys.some((key) => key.includes('/files/'))
        ? Promise.reject(new SeekfsError('store_unavailable', 'gone'))
        : inner(request);
    await expect(gc({ keep: 1 })).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(await listKeys(store, 'namespaces/dev/manifests/')).toEqual([manifestKey('dev', 3)]);
    expect(await files()).toHaveLength(3);
    store.delete = inner;
    // One that was written anew since then is somebody's.
    await putObject(store, fileKey('dev', 'b'), 'another b');
    nowMs += 2 * DAY_MS;
    expect(await gc({ keep: 1, dryRun: true })).toMatchObject({ objects: 1 });
    expect(await gc({ keep: 1 })).toMatchObject({ objects: 1 });
    expect(await files()).toEqual([fileKey('dev', 'b'), fileKey('dev', 'c')]);
    expect(await listKeys(store, 'namespaces/dev/gc/')).toEqual([]);
    expect(await gc({ keep: 1 })).toMatchObject({ objects: 0 });
  });

  test('passes a damaged list of an earlier gc over', async () => {
    await putObject(store, releasedKey('dev'), 'no gzip');
    expect(await gc({ keep: 3 })).toMatchObject({ objects: 0 });
    expect(await files()).toHaveLength(3);
  });

  test('removes content-addressed objects that no version names, once they are older than the grace period', async () => {
    const orphan = contentKey('dev', 'x', 'ab'.repeat(32));
    await putObject(store, orphan, 'of a publisher that died');
    await gc({ keep: 3 });
    expect(await files()).toContain(orphan);
    nowMs += 2 * DAY_MS;
    await gc({ keep: 3 });
    expect(await files()).not.toContain(orphan);
  });

  test('removes nothing while a publisher lives, and its intent once it is dead', async () => {
    const intent = await openIntent(deps, 'dev');
    await expect(gc({ keep: 1 })).rejects.toMatchObject({ code: 'locked' });
    expect(await files()).toHaveLength(3);
    await intent.close();
    await putObject(store, intentKey('dev', 'dead'), '{}');
    nowMs += LEASE_MS + 1;
    expect(await gc({ keep: 1 })).toMatchObject({ staleIntents: 1 });
    expect(await listKeys(store, 'namespaces/dev/intents/')).toEqual([]);
  });

  test('gives way to another gc, and takes over from a dead one', async () => {
    await putObject(store, gcMarkKey('dev'), '{}');
    await expect(gc({ keep: 1 })).rejects.toMatchObject({ code: 'locked' });
    nowMs += LEASE_MS + 1;
    expect(await gc({ keep: 1 })).toMatchObject({ removedVersions: [2, 1] });
    expect(await listKeys(store, 'namespaces/dev/intents/')).toEqual([]);
  });

  test('keeps a version that is committed and not announced yet', async () => {
    await rollback(deps, { ns: 'dev', version: 2 });
    await putObject(store, 'namespaces/dev/HEAD', 'v-3\n');
    nowMs += 2 * DAY_MS;
    expect(await gc({ keep: 1 })).toMatchObject({ keptVersions: [4, 3] });
  });
});

describe('uploads that nobody has ended', () => {
  const [old, young] = [contentKey('dev', 'a b+&', 'ab'.repeat(32)), contentKey('dev', 'x', 'cd'.repeat(32))];
  let server: FaultyS3;

  beforeEach(async () => {
    server = await new FaultyS3().listen();
    const s3 = openS3Store(server.options());
    deps = manifestDeps(s3);
    await putObject(s3, fileKey('dev', 'a'), 'a');
    await generate(deps, { ns: 'dev', patterns: [], pageSizeBytes: 65536 });
  });

  afterEach(async () => {
    await deps.store.close();
    await server.close();
  });

  test('are aborted where they are of puts and older than the grace period, on whichever page they are', async () => {
    server.objects.uploadsPerPage = 2;
    for (let count = 0; count < 5; count += 1) server.objects.beginUpload(old, 2 * DAY_MS);
    const kept = [
      server.objects.beginUpload(young, DAY_MS / 2),
      // Another tool's, and another namespace's.
      server.objects.beginUpload(fileKey('dev', 'plain'), 2 * DAY_MS),
      server.objects.beginUpload(contentKey('dev2', 'x', 'ab'.repeat(32)), 2 * DAY_MS),
    ];
    expect(await gc({ keep: 1, dryRun: true })).toMatchObject({ uploads: 5 });
    expect(server.objects.openUploads).toBe(8);
    expect(await gc({ keep: 1 })).toMatchObject({ uploads: 5 });
    expect(server.objects.openUploads).toBe(kept.length);
    expect(await gc({ keep: 1, graceMs: DAY_MS / 4 })).toMatchObject({ uploads: 1 });
    expect(await gc({ keep: 1 })).toMatchObject({ uploads: 0 });
  });

  test('are left where the store does not tell them, and gc does the rest', async () => {
    server.objects.beginUpload(old, 2 * DAY_MS);
    const where = ({ operation }: LoggedRequest): boolean => operation === 'UPLOADS';
    server.fail({ kind: 'status', status: 403, code: 'AccessDenied' }, { where });
    expect(await gc({ keep: 1 })).toMatchObject({ keptVersions: [1], uploads: undefined });
    expect(server.objects.openUploads).toBe(1);
  });
});

test.each([0, -1, 1.5])('keep %d is refused', async (keep) => {
  await expect(gc({ keep })).rejects.toMatchObject({ code: 'usage' });
});

test('a publisher waits for a gc, and passes over the mark of a dead one', async () => {
  let monotonicMs = 0;
  let polls = 0;
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => monotonicMs,
    uptimeMs: () => monotonicMs,
    sleep: (delayMs, signal) => {
      // Heartbeats rest; polls of the mark pass the time.
      if (delayMs > 10_000) return systemClock.sleep(2 ** 30, signal);
      polls += 1;
      monotonicMs += 60_000;
      return Promise.resolve();
    },
  };
  await putObject(store, gcMarkKey('dev'), '{}');
  const intent = await openIntent({ ...deps, clock }, 'dev');
  expect(polls).toBe(16);
  await intent.close();
});
