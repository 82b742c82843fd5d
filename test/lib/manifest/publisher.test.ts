import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { parseHead } from '../../../src/lib/manifest/head.ts';
import { headKey, manifestKey } from '../../../src/lib/manifest/key-layout.ts';
import { publish } from '../../../src/lib/manifest/publisher.ts';
import type { FileEntry } from '../../../src/lib/manifest/types.ts';
import { MemoryObjectStore } from '../../../src/lib/objectstore/memory.ts';
import { listEntries, listKeys, manifestDeps } from '../../support/manifest-deps.ts';
import { collector, publishingWorld, putter } from '../../support/publishing-world.ts';
import { exploreSchedules, type Actor, type Bounds } from '../../support/schedule-explorer.ts';
import { parseSeedManifest } from '../../support/seed-manifest.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let directory: string;

beforeAll(async () => {
  directory = await temporaryDirectory('seekfs-publish');
  for (const name of ['a', 'b', 'c', 'x']) await writeFile(join(directory, name), `content of ${name}`);
});

describe('every schedule keeps every version, every object of it and HEAD', () => {
  const explore = async (bounds: Bounds, names: readonly string[]): Promise<string[]> => {
    const actors = names.map((name): Actor => (name === 'gc' ? collector : putter(name, directory)));
    const { traces } = await exploreSchedules(bounds, () => publishingWorld(directory, actors, bounds));
    return traces.map((trace) => trace.join('\n'));
  };
  const having = (traces: readonly string[], pattern: RegExp): number =>
    traces.filter((trace) => pattern.test(trace)).length;

  test('of two publishers with two preemptions', async () => {
    const traces = await explore({ preemptionsMax: 2, faultsMax: 0 }, ['a', 'b']);
    expect(traces.length).toBeGreaterThan(100);
    // Both went for version 3, and the loser made version 4.
    expect(
      having(traces, /put \S+v-3\.json\.gz absent[^]*put \S+v-3\.json\.gz absent[^]*put \S+v-4\.json\.gz/),
    ).toBeGreaterThan(5);
    // One moved HEAD for the other.
    expect(
      having(traces, /put a: put \S+HEAD match[^]*put b: put \S+HEAD match[^]*put b: put \S+HEAD match/),
    ).toBeGreaterThan(0);
  });

  test('of a publisher and gc with two preemptions', async () => {
    const traces = await explore({ preemptionsMax: 2, faultsMax: 0 }, ['x', 'gc']);
    // gc removed the object that the publisher wanted, and gave way to it; and the publisher waited for gc.
    expect(having(traces, /gc: delete \S*v-1\.json\.gz/)).toBeGreaterThan(5);
    expect(having(traces, /put x: sleep/)).toBeGreaterThan(5);
    expect(traces.length - having(traces, /gc: delete \S*v-1\.json\.gz/)).toBeGreaterThan(5);
  });

  test('of one publisher with one fault anywhere, which then dies or goes on', async () => {
    const traces = await explore({ preemptionsMax: 0, faultsMax: 1 }, ['a', 'b']);
    expect(having(traces, /v-3\.json\.gz absent \(lost answer\)/)).toBeGreaterThan(0);
    expect(having(traces, /v-3\.json\.gz absent \(crash after\)/)).toBeGreaterThan(0);
    expect(having(traces, /HEAD match \(lost answer\)/)).toBeGreaterThan(0);
    expect(having(traces, /HEAD match \(crash before\)/)).toBeGreaterThan(0);
  });

  test('of a publisher and gc with one fault', async () => {
    const traces = await explore({ preemptionsMax: 0, faultsMax: 1 }, ['gc', 'x']);
    expect(having(traces, /gc: delete .*\(crash after\)/)).toBeGreaterThan(0);
    expect(having(traces, /put x: sleep/)).toBeGreaterThan(0);
  });
});

function entry(path: string): FileEntry {
  return {
    path,
    sizeBytes: 9,
    hash: `sha256:${'1'.repeat(64)}`,
    storage: { key: `namespaces/dev/files/${path}`, etag: '"e"', sse: undefined, off: 0 },
    pages: [{ pageId: 0, off: 0, len: 9, crc32c: 0xe3069283 }],
    granuleCrcs: undefined,
    modifiedAtMs: 5,
    extra: { kept: true },
  };
}

test('what is published is read by a strict parser of the seed’s fields, and HEAD too', async () => {
  const deps = manifestDeps();
  await publish(deps, { ns: 'dev', plan: () => ({ upserts: [entry('b'), entry('a')], removals: [] }) });
  const { version, digest } = await publish(deps, { ns: 'dev', plan: () => ({ upserts: [], removals: ['b'] }) });
  const { bytes } = await deps.store.getWhole({ key: manifestKey('dev', 2), sizeBytesMax: 65_536, purpose: 'meta' });
  expect(parseSeedManifest(bytes)).toMatchObject({
    version: 2,
    parents: [1],
    tombstones: ['b'],
    files: [
      {
        path: 'a',
        size: 9,
        page_table: [{ page_id: 0, off: 0, len: 9, crc32c: 3_808_858_755 }],
        storage: { key: 'namespaces/dev/files/a', etag: '"e"', sse: null },
        kept: true,
      },
    ],
  });
  const head = await deps.store.getWhole({ key: headKey('dev'), sizeBytesMax: 1000, purpose: 'meta' });
  expect(head.bytes.toString()).toBe(`v-2\n${digest}\n`);
  expect(parseHead(head.bytes.toString())).toEqual({ version, digest });
});

test('an edit that changes nothing makes no version', async () => {
  const deps = manifestDeps();
  const edit = { upserts: [entry('a')], removals: [] };
  expect(await publish(deps, { ns: 'dev', plan: () => edit })).toMatchObject({ published: true, version: 1 });
  const again = { ...edit, removals: ['not there'] };
  expect(await publish(deps, { ns: 'dev', plan: () => again })).toMatchObject({ published: false, version: 1 });
  expect(await listKeys(deps.store, 'namespaces/dev/manifests/')).toHaveLength(1);
});

test('a store that ignores conditions is refused, and taken when the user says so', async () => {
  const store = new MemoryObjectStore();
  const inner = store.put.bind(store);
  store.put = (request) => inner({ ...request, condition: { kind: 'none' } });
  const deps = manifestDeps(store);
  const request = { ns: 'dev', plan: () => ({ upserts: [entry('a')], removals: [] }) };
  await expect(publish(deps, request)).rejects.toMatchObject({ code: 'unsafe_store' });
  expect(await listKeys(store, '')).toEqual([]);
  expect(await publish({ ...deps, unsafePublish: true }, request)).toMatchObject({ published: true, version: 1 });
  expect(await listEntries(deps, 'dev')).toHaveLength(1);
});

test('a version that is there and no successor of HEAD stops publishing with a clear error', async () => {
  const deps = manifestDeps();
  const request = (path: string): Parameters<typeof publish>[1] => ({
    ns: 'dev',
    plan: () => ({ upserts: [entry(path)], removals: [] }),
  });
  await publish(deps, request('a'));
  const { bytes } = await deps.store.getWhole({ key: manifestKey('dev', 1), sizeBytesMax: 65_536, purpose: 'meta' });
  const source = { kind: 'bytes', bytes } as const;
  await deps.store.put({ key: manifestKey('dev', 2), source, condition: { kind: 'none' }, durable: false });
  await expect(publish(deps, request('b'))).rejects.toMatchObject({ code: 'manifest_invalid' });
});

test('an error of the plan publishes nothing and leaves no intent', async () => {
  const deps = manifestDeps();
  const plan = (): never => {
    throw new SeekfsError('path_not_found', 'no');
  };
  await expect(publish(deps, { ns: 'dev', plan })).rejects.toMatchObject({ code: 'path_not_found' });
  expect(await listKeys(deps.store, '')).toEqual([]);
});
