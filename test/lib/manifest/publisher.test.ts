import { beforeAll, describe, expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { parseHead } from '../../../src/lib/manifest/head.ts';
import { headKey, manifestKey } from '../../../src/lib/manifest/key-layout.ts';
import { publish } from '../../../src/lib/manifest/publisher.ts';
import type { FileEntry } from '../../../src/lib/manifest/types.ts';
import { ForwardingObjectStore } from '../../../src/lib/objectstore/forwarding.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import type { ListRequest, ObjectStore, PutRequest } from '../../../src/lib/objectstore/object-store.ts';
import { listEntries, listKeys, manifestDeps } from '../../support/manifest-deps.ts';
import { publishingWorld, writeWorldFiles, type ActorName, type Mutation } from '../../support/publishing-world.ts';
import { explore, type Bounds, type Exploration } from '../../support/state-explorer.ts';
import { parseSeedManifest } from '../../support/seed-manifest.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let directory: string;

beforeAll(async () => {
  directory = await temporaryDirectory('seekfs-publish');
  await writeWorldFiles(directory);
});

describe(
  'in every state that they can come to, no version, no object of one, and no HEAD is lost:',
  { timeout: 300_000 },
  () => {
    const exploreAll = async (names: readonly ActorName[], bounds: Bounds): Promise<Exploration> =>
      explore(await publishingWorld(directory, names, bounds), bounds);
    const stepsOf = ({ steps }: Exploration, pattern: RegExp): string[] =>
      [...steps].filter((step) => pattern.test(step));

    test('two publishers, gc and a reader', async () => {
      const seen = await exploreAll(['put k', 'put x', 'gc', 'reader'], { crashesMax: 0, faultsMax: 0 });
      expect(seen.states).toBeGreaterThan(500_000);
      expect([...seen.outcomes].sort()).toEqual([
        'gc: done',
        'gc: locked',
        'put k: done',
        'put x: done',
        'reader: done',
        'reader: version_not_found',
      ]);
      // Each lost a race, moved HEAD for the other, waited for gc; gc removed what a publisher wanted, and what was read.
      for (const path of ['k', 'x']) {
        expect(stepsOf(seen, RegExp(`^put ${path}: put .*v-4.json.gz absent$`))).toHaveLength(1);
        expect(stepsOf(seen, RegExp(`^put ${path}: wait$`))).toHaveLength(1);
      }
      expect(stepsOf(seen, /^gc: delete .*(files\/x|files\/k|v-[123]\.json)/).length).toBeGreaterThanOrEqual(5);
    });

    test('two publishers and gc, each of whom may die', async () => {
      const seen = await exploreAll(['put k', 'put x', 'gc'], { crashesMax: 3, faultsMax: 0 });
      expect(seen.states).toBeGreaterThan(20_000);
      expect(seen.ends).toBeGreaterThan(1000);
    });

    test('two publishers and gc, with a request or an answer lost anywhere', async () => {
      const seen = await exploreAll(['put k', 'put x', 'gc'], { crashesMax: 0, faultsMax: 1 });
      expect(stepsOf(seen, /v-3\.json\.gz absent \((lost answer|answer of a retry|lost request)\)/)).toHaveLength(6);
      expect(stepsOf(seen, /HEAD match \((lost answer|answer of a retry|lost request)\)/)).toHaveLength(6);
      expect(seen.outcomes).toContain('gc: store_unavailable');
    });

    test('a publisher, gc and a reader, of whom one may die, with a request or an answer lost', async () => {
      const seen = await exploreAll(['put k', 'gc', 'reader'], { crashesMax: 1, faultsMax: 1 });
      expect(stepsOf(seen, /^reader: put .*pins\/reader none \(lost answer\)/)).toHaveLength(1);
      expect(seen.outcomes).toContain('reader: done');
    });

    describe('the exploration finds', () => {
      const skipping = (isSkipped: (request: PutRequest) => boolean) => (store: ObjectStore) =>
        Object.assign(new ForwardingObjectStore(store), {
          put: (request: PutRequest) => (isSkipped(request) ? Promise.resolve({ etag: '"none"' }) : store.put(request)),
        });
      const blindTo = (prefix: string) => (store: ObjectStore) =>
        Object.assign(new ForwardingObjectStore(store), {
          list: async function* (request: ListRequest) {
            if (!request.prefix.endsWith(prefix)) yield* store.list(request);
          },
        });
      const mutations: readonly [string, Mutation, RegExp][] = [
        [
          'a publisher without an intent',
          { actor: 'put x', break: skipping(({ key }) => key.includes('/intents/')) },
          /has lost the object of x/,
        ],
        [
          'a gc that does not look for intents',
          { actor: 'gc', break: blindTo('/intents/') },
          /has lost the object of x|is pinned and lost/,
        ],
        [
          'a gc that does not look for pins',
          { actor: 'gc', break: blindTo('/pins/') },
          /version \d is pinned and lost/,
        ],
        [
          'a gc without its mark',
          { actor: 'gc', break: skipping(({ key }) => key.endsWith('/intents/gc')) },
          /has lost the object of|is pinned and lost/,
        ],
        [
          'a gc that removes objects before versions',
          { actor: 'gc', break: objectsFirst },
          /version 1 has lost the object/,
        ],
        ['a publisher that moves HEAD before the manifest', { actor: 'put k', break: headFirst }, /which is missing/],
        [
          'a publisher that overwrites',
          {
            actor: 'put k',
            break: (store) =>
              Object.assign(new ForwardingObjectStore(store), {
                put: (request: PutRequest) => store.put({ ...request, condition: { kind: 'none' } }),
              }),
          },
          /overwritten|HEAD went from|lost/,
        ],
      ];
      test.each(mutations)('%s', async (_name, mutation, message) => {
        const bounds = { crashesMax: 0, faultsMax: 0 };
        const model = await publishingWorld(directory, ['put k', 'put x', 'gc', 'reader'], { ...bounds, mutation });
        await expect(explore(model, bounds)).rejects.toThrow(message);
      });
    });
  },
);

/** Holds deletes of manifests back until those of files are done. */
function objectsFirst(store: ObjectStore): ObjectStore {
  let held: readonly string[] = [];
  return Object.assign(new ForwardingObjectStore(store), {
    delete: async (request: { keys: readonly string[] }) => {
      if (request.keys.some((key) => key.includes('/manifests/'))) held = request.keys;
      else {
        await store.delete(request);
        if (held.length > 0) await store.delete({ keys: held });
        held = [];
      }
    },
  });
}

function headFirst(store: ObjectStore): ObjectStore {
  let held: PutRequest | undefined;
  return Object.assign(new ForwardingObjectStore(store), {
    put: async (request: PutRequest) => {
      if (request.key.includes('/manifests/')) {
        held = request;
        return { etag: '"held"' };
      }
      const done = await store.put(request);
      if (held) await store.put(held);
      held = undefined;
      return done;
    },
  });
}

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

/** Publishes one file more. */
function addition(path: string): Parameters<typeof publish>[1] {
  return { ns: 'dev', plan: () => ({ upserts: [entry(path)], removals: [] }) };
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
  const request = addition('a');
  await expect(publish(deps, request)).rejects.toMatchObject({ code: 'unsafe_store' });
  expect(await listKeys(store, '')).toEqual([]);
  expect(await publish({ ...deps, unsafePublish: true }, request)).toMatchObject({ published: true, version: 1 });
  expect(await listEntries(deps, 'dev')).toHaveLength(1);
});

test('a version that is there and no successor of HEAD stops publishing with a clear error', async () => {
  const deps = manifestDeps();
  await publish(deps, addition('a'));
  const { bytes } = await deps.store.getWhole({ key: manifestKey('dev', 1), sizeBytesMax: 65_536, purpose: 'meta' });
  const source = { kind: 'bytes', bytes } as const;
  await deps.store.put({ key: manifestKey('dev', 2), source, condition: { kind: 'none' }, durable: false });
  await expect(publish(deps, addition('b'))).rejects.toMatchObject({ code: 'manifest_invalid' });
});

test('a HEAD that lags is moved although the store is busy with the same request of others', async () => {
  const deps = manifestDeps();
  await publish(deps, addition('a'));
  const lagging = await deps.store.getWhole({ key: headKey('dev'), sizeBytesMax: 1000, purpose: 'meta' });
  await publish(deps, addition('b'));
  const source = { kind: 'bytes', bytes: lagging.bytes } as const;
  await deps.store.put({ key: headKey('dev'), source, condition: { kind: 'none' }, durable: false });
  const inner = deps.store.put.bind(deps.store);
  let refused = 0;
  deps.store.put = (put) => {
    if (put.key !== headKey('dev') || refused === 2) return inner(put);
    refused += 1;
    // As S3 answers a conditional PUT that meets another one: 409 ConditionalRequestConflict.
    return Promise.reject(new SeekfsError('store_unavailable', 'conflicting conditional request'));
  };
  expect(await publish(deps, addition('c'))).toMatchObject({ published: true, version: 3, fileCount: 3 });
  expect(refused).toBe(2);
});

test('an error of the plan publishes nothing and leaves no intent', async () => {
  const deps = manifestDeps();
  const plan = (): never => {
    throw new SeekfsError('path_not_found', 'no');
  };
  await expect(publish(deps, { ns: 'dev', plan })).rejects.toMatchObject({ code: 'path_not_found' });
  expect(await listKeys(deps.store, '')).toEqual([]);
});
