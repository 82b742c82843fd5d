import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { silentLogger } from '../../../src/lib/base/log.ts';
import { LockFile } from '../../../src/lib/disk/lock-file.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { collectCache, type CacheGcReport } from '../../../src/lib/maintain/cache-gc.ts';
import { fileKey } from '../../../src/lib/manifest/key-layout.ts';
import { pinVersion } from '../../../src/lib/manifest/pinned.ts';
import { setPin } from '../../../src/lib/manifest/pins.ts';
import { publish } from '../../../src/lib/manifest/publisher.ts';
import type { PutDeps } from '../../../src/lib/manifest/put.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import { manifestDeps } from '../../support/manifest-deps.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { openTestStore, testPage, type TestPage, type TestStore } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const LEN = 100_000;
const older = testPage({ path: 'a', len: LEN, identity: `sha256:${'1'.repeat(64)}` });
const newer = testPage({ path: 'a', len: LEN, identity: `sha256:${'2'.repeat(64)}` });

let path: string;
let store: MemoryObjectStore;
let deps: PutDeps;
let l2: TestStore;

async function publishPage({ page }: TestPage): Promise<void> {
  const entry = {
    path: page.path,
    sizeBytes: page.len,
    hash: page.identity,
    storage: { key: fileKey('dev', page.path), etag: '"e"', sse: undefined, off: 0 },
    pages: [{ pageId: 0, off: 0, len: page.len, crc32c: page.crc32c }],
    granuleCrcs: undefined,
    modifiedAtMs: undefined,
    extra: undefined,
  };
  await publish(deps, { ns: 'dev', plan: () => ({ upserts: [entry], removals: [] }) });
}

/** Version 1 has the older page, version 2 the newer one, and both pages are in the cache, in a segment that has ended. */
beforeEach(async () => {
  path = await temporaryDirectory('seekfs-cache-gc');
  store = new MemoryObjectStore();
  deps = manifestDeps(store);
  await publishPage(older);
  await publishPage(newer);
  const writer = await openTestStore(path);
  await writer.put(older);
  await writer.put(newer);
  await writer.store.close();
  l2 = await openTestStore(path);
});

afterEach(() => l2.store.close());

function gc(options: { dryRun?: boolean; ns?: string; inUse?: readonly number[] } = {}): Promise<CacheGcReport> {
  const { dryRun = false, ns, inUse = [] } = options;
  return collectCache(
    {
      disk: nodeDisk,
      path,
      store,
      pin: (name, selector) => pinVersion(deps, name, selector),
      inUse: inUse.map((version) => ({ ns: 'dev', version })),
      segmentStore: l2.store,
      log: silentLogger,
    },
    { ns, dryRun },
  );
}

async function held(): Promise<[older: boolean, newer: boolean]> {
  await l2.store.refresh();
  return [(await l2.get(older)) !== undefined, (await l2.get(newer)) !== undefined];
}

test('pages that only an old version has are dropped, after a dry run said so', async () => {
  const expected = { deadRecords: 1, deadBytes: LEN, unknownNamespaces: [] };
  expect(await gc({ dryRun: true })).toMatchObject({ ...expected, dryRun: true, freedBytes: 0 });
  expect(await held()).toEqual([true, true]);
  expect(await gc()).toMatchObject({ ...expected, dryRun: false });
  expect(await held()).toEqual([false, true]);
});

test('pages of a version that is pinned stay', async () => {
  await setPin(deps, { ns: 'dev', name: 'run', version: 1 });
  expect(await gc()).toMatchObject({ deadRecords: 0 });
  expect(await held()).toEqual([true, true]);
});

test('pages of a version that a running process reads stay', async () => {
  expect(await gc({ inUse: [1] })).toMatchObject({ deadRecords: 0 });
  expect(await held()).toEqual([true, true]);
});

test('pages of a namespace that was not asked for stay', async () => {
  expect(await gc({ ns: 'other' })).toMatchObject({ deadRecords: 0, unknownNamespaces: [] });
  expect(await held()).toEqual([true, true]);
});

test('where the store does not answer the pages stay, and the report names the namespace', async () => {
  store.getWhole = () => Promise.reject(new SeekfsError('store_unavailable', 'no'));
  expect(await gc()).toMatchObject({ deadRecords: 0, unknownNamespaces: ['dev'] });
  expect(await held()).toEqual([true, true]);
});

test('where it is interrupted between the store’s answers, it ends with that and drops nothing', async () => {
  store.getWhole = () => Promise.reject(new SeekfsError('interrupted', 'interrupted'));
  await expect(gc()).rejects.toMatchObject({ code: 'interrupted' });
  expect(await held()).toEqual([true, true]);
});

test('where another process maintains the cache it says so, after it had time to end, and drops nothing', async () => {
  await l2.store.close();
  const clock = manualClock();
  const sleep = (delayMs: number): Promise<void> =>
    new Promise((resolve) => {
      setImmediate(() => {
        clock.advance(delayMs);
        resolve();
      });
    });
  l2 = await openTestStore(path, { clock: { ...clock, sleep } });
  const lock = await new LockFile({ disk: nodeDisk, directory: join(path, 'lock') }).tryAcquire();
  await expect(gc()).rejects.toMatchObject({ code: 'locked', message: expect.stringContaining(path) as string });
  expect(clock.monotonicMs()).toBeGreaterThan(10_000);
  expect(await held()).toEqual([true, true]);
  await lock!.release();
});
