import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import type { Extent } from '../../../src/lib/read/reader.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { closeBenches, failure, readBench } from '../../support/read-bench.ts';

afterEach(closeBenches);

describe('stream', () => {
  test.each(['granules', 'pages', 'none'] as const)(
    'brings exactly the range, cold and warm (%s)',
    async (checksums) => {
      const { store, reader } = readBench();
      const bytes = someBytes(5 * MIB + 12_345);
      const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB, checksums }]);
      const entry = await version.lookup('a');
      for (const range of [
        { off: 0, len: bytes.length },
        { off: 1, len: 1 },
        { off: MIB - 1, len: 2 },
        { off: 3 * MIB + 77, len: 2 * MIB },
        { off: bytes.length, len: 0 },
      ]) {
        const got = await collect(reader.stream(version, entry, range));
        expect(got.equals(bytes.subarray(range.off, range.off + range.len))).toBe(true);
      }
      const cold = store.gets.length;
      expect((await collect(reader.stream(version, entry, { off: 0, len: bytes.length }))).equals(bytes)).toBe(true);
      expect(store.gets.length).toBe(cold);
    },
  );

  test('a random read fetches only the granules that it touches', async () => {
    const { store, reader } = readBench();
    const bytes = someBytes(8 * MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
    await collect(reader.stream(version, await version.lookup('a'), { off: 5 * MIB + 10, len: 4 * KIB }));
    expect(store.gets.map(({ range }) => range)).toEqual([{ off: 5 * MIB, len: 128 * KIB }]);
  });

  test('a cold stream has several GETs under way', async () => {
    const { store, reader } = readBench();
    const bytes = someBytes(64 * MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
    const got = await collect(reader.stream(version, await version.lookup('a'), { off: 0, len: bytes.length }));
    expect(got.equals(bytes)).toBe(true);
    expect(store.gets.length).toBe(8);
    expect(store.activeMax).toBeGreaterThanOrEqual(2);
  });

  test('breaking off stops the fetches', async () => {
    const { store, reader } = readBench();
    const bytes = someBytes(64 * MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
    for await (const slab of reader.stream(version, await version.lookup('a'), { off: 0, len: bytes.length })) {
      slab.release();
      break;
    }
    expect(store.gets.length).toBeLessThanOrEqual(3);
    expect(store.aborted).toBeGreaterThanOrEqual(1);
  });

  test('an abort ends it with interrupted while a GET hangs', async () => {
    const { store, reader } = readBench();
    const version = await publishBytes(store, [{ path: 'a', bytes: someBytes(MIB), pageSizeBytes: MIB }]);
    const controller = new AbortController();
    store.beforeGet = ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal!.addEventListener('abort', () => reject(signal!.reason as Error));
        controller.abort();
      });
    const { signal } = controller;
    const entry = await version.lookup('a');
    expect(await failure(collect(reader.stream(version, entry, { off: 0, len: 10 }, { signal })))).toBe('interrupted');
  });
});

describe('cached', () => {
  test('brings a small range only once the cache has it, and asks the store for nothing', async () => {
    const { store, reader, memory } = readBench();
    const bytes = someBytes(2 * MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
    const entry = await version.lookup('a');
    const range = { off: 128 * KIB - 5, len: 10 };
    expect(await reader.cached(version, entry, range)).toBeUndefined();
    await collect(reader.stream(version, entry, { off: 0, len: bytes.length }));
    const gets = store.gets.length;
    const slabs = (await reader.cached(version, entry, range))!;
    expect(Buffer.concat(slabs.map((slab) => slab.bytes)).equals(bytes.subarray(range.off, range.off + 10))).toBe(true);
    for (const slab of slabs) slab.release();
    expect(await reader.cached(version, entry, { off: MIB - 1, len: 2 }), 'two pages').toBeUndefined();
    expect(store.gets.length).toBe(gets);
    expect(memory.tickets.inUse).toBe(0);
  });
});

test('closing the reader ends what is under way with interrupted', async () => {
  const { store, reader } = readBench();
  const version = await publishBytes(store, [{ path: 'a', bytes: someBytes(MIB), pageSizeBytes: MIB }]);
  const entry = await version.lookup('a');
  const began = new Promise<void>((resolve) => {
    store.beforeGet = ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal!.addEventListener('abort', () => reject(signal!.reason as Error));
        resolve();
      });
  });
  const reading = failure(collect(reader.stream(version, entry, { off: 0, len: MIB })));
  await began;
  await reader.close();
  expect(await reading).toBe('interrupted');
});

describe('single-flight', () => {
  test.each([
    ['plenty of memory', 256 * MIB],
    ['memory for one', 3 * MIB],
  ])('64 readers of one missing page cost one GET (%s)', async (_name, memoryBytes) => {
    const { store, reader } = readBench({ memoryBytes });
    const bytes = someBytes(MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB, checksums: 'pages' }]);
    const entry = await version.lookup('a');
    const all = await Promise.all(
      Array.from({ length: 64 }, () => collect(reader.stream(version, entry, { off: 0, len: MIB }))),
    );
    expect(all.every((got) => got.equals(bytes))).toBe(true);
    expect(store.gets.length).toBe(1);
  });

  test('an aborted reader does not abort a fetch that others wait for; the last one to leave does', async () => {
    const { store, reader } = readBench();
    const bytes = someBytes(MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
    const entry = await version.lookup('a');
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    let arrived: () => void = () => undefined;
    const began = new Promise<void>((resolve) => (arrived = resolve));
    store.beforeGet = async () => {
      arrived();
      await gate;
    };
    const controllers = [new AbortController(), new AbortController(), new AbortController()];
    const reads = controllers.map(({ signal }) =>
      collect(reader.stream(version, entry, { off: 0, len: MIB }, { signal })),
    );
    await began;
    const first = failure(reads[0]!);
    controllers[0]!.abort();
    expect(await first).toBe('interrupted');
    expect(store.aborted).toBe(0);
    const second = failure(reads[1]!);
    const third = failure(reads[2]!);
    controllers[1]!.abort();
    controllers[2]!.abort();
    expect([await second, await third]).toEqual(['interrupted', 'interrupted']);
    expect(store.aborted).toBe(1);
    open();
    expect((await collect(reader.stream(version, entry, { off: 0, len: MIB }))).equals(bytes)).toBe(true);
    expect(store.gets.length).toBe(2);
  });
});

describe('integrity', () => {
  test.each(['granules', 'pages'] as const)(
    'one flipped bit is page_corrupt and never cached (%s)',
    async (checksums) => {
      const { store, reader, cache, metrics } = readBench();
      const bytes = someBytes(MIB);
      const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 512 * KIB, checksums }]);
      store.spoil = (chunk, off) => {
        if (off === 256 * KIB) chunk[5]! ^= 1;
      };
      const entry = await version.lookup('a');
      expect(await failure(collect(reader.stream(version, entry, { off: 0, len: MIB })))).toBe('page_corrupt');
      expect(metrics.get('seekfs_crc_failures_total')).toBe(1);
      store.spoil = undefined;
      expect((await collect(reader.stream(version, entry, { off: 0, len: MIB }))).equals(bytes)).toBe(true);
      expect(cache.granules).toBe(8);
    },
  );

  test('a corrupt page fails its own readers, not those of its neighbour in the same GET', async () => {
    const { store, reader } = readBench();
    const files = ['a', 'b'].map((path, seed) => ({ path, bytes: someBytes(64 * KIB, seed), pageSizeBytes: 64 * KIB }));
    const version = await publishBytes(store, files, { pack: true });
    store.spoil = (chunk, off) => {
      if (off === 0) chunk[0]! ^= 1;
    };
    const late = new Promise<Buffer>((resolve, reject) => {
      store.beforeGet = async () => {
        store.beforeGet = undefined;
        const entry = await version.lookup('b');
        collect(reader.stream(version, entry, { off: 0, len: 64 * KIB })).then(resolve, reject);
      };
    });
    const extents = files.map(({ path }) => ({ path, off: 0, len: 10 }));
    expect(await failure(collect(reader.readv(version, extents)))).toBe('page_corrupt');
    expect((await late).equals(files[1]!.bytes)).toBe(true);
    expect(store.gets.length).toBe(1);
  });

  test('an object that changed is object_changed', async () => {
    const { store, reader } = readBench();
    const version = await publishBytes(store, [{ path: 'a', bytes: someBytes(MIB), pageSizeBytes: MIB }]);
    const bytes = someBytes(MIB, 2);
    await store.put({
      key: 'namespaces/dev/files/a',
      source: { kind: 'bytes', bytes },
      condition: { kind: 'none' },
      durable: false,
    });
    const entry = await version.lookup('a');
    expect(await failure(collect(reader.stream(version, entry, { off: 0, len: 1 })))).toBe('object_changed');
  });

  test('without an ETag in the manifest the first response pins one', async () => {
    const { store, reader } = readBench();
    const bytes = someBytes(2 * MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB, withoutEtag: true }]);
    const entry = await version.lookup('a');
    await collect(reader.stream(version, entry, { off: 0, len: 1 }));
    await collect(reader.stream(version, entry, { off: MIB, len: 1 }));
    expect(store.gets.map(({ ifMatch }) => ifMatch === undefined)).toEqual([true, false]);
    expect(store.heads).toBe(0);
  });

  test('files without checksums are served with one warning and counted, or refused', async () => {
    const { store, reader, warnings, metrics } = readBench();
    const bytes = someBytes(MIB);
    const version = await publishBytes(store, [
      { path: 'a', bytes, pageSizeBytes: MIB, checksums: 'none', withoutEtag: true },
    ]);
    const entry = await version.lookup('a');
    await collect(reader.stream(version, entry, { off: 0, len: MIB }));
    await collect(reader.stream(version, entry, { off: 0, len: 24 }));
    expect(warnings.length).toBe(1);
    expect(metrics.get('seekfs_unchecked_bytes_total')).toBe(MIB + 24);
    expect(store.gets.length).toBe(1);
    const strict = readBench({ limits: { requireChecksums: true } });
    expect(await failure(collect(strict.reader.stream(version, entry, { off: 0, len: 1 })))).toBe('unchecked_refused');
  });

  test('a cache that promises and never delivers costs a fetch, not an error', async () => {
    const { store, reader, cache } = readBench();
    const bytes = someBytes(MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
    cache.lies = true;
    cache.capacityGranules = 0;
    const got = await collect(reader.stream(version, await version.lookup('a'), { off: 3, len: MIB - 3 }));
    expect(got.equals(bytes.subarray(3))).toBe(true);
  });
});

describe('readv', () => {
  test('answers in request order with repeated, overlapping, empty and cross-page extents over several files', async () => {
    const files = [0, 1, 2].map((index) => ({
      path: `f${index}`,
      bytes: someBytes(700_000, index),
      pageSizeBytes: 256 * KIB,
    }));
    const extent = fc.record({
      file: fc.nat(2),
      off: fc.nat(699_999),
      len: fc.oneof(fc.nat(5000), fc.nat(700_000)),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(extent, { maxLength: 12 }),
        fc.constantFrom(2 * MIB, 64 * MIB),
        fc.constantFrom('granules' as const, 'pages' as const),
        async (asked, memoryBytes, checksums) => {
          const { store, reader } = readBench({ memoryBytes });
          const published = files.map((file) => ({ ...file, checksums }));
          const version = await publishBytes(store, published, { pack: memoryBytes > 2 * MIB });
          const extents: Extent[] = asked.map(({ file, off, len }) => ({ path: `f${file}`, off, len }));
          const expected = Buffer.concat(
            asked.map(({ file, off, len }) => files[file]!.bytes.subarray(off, off + len)),
          );
          expect((await collect(reader.readv(version, extents))).equals(expected)).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('refuses a bad extent before the first byte', async () => {
    const { store, reader } = readBench();
    const version = await publishBytes(store, [{ path: 'a', bytes: someBytes(100), pageSizeBytes: 64 * KIB }]);
    const good = { path: 'a', off: 0, len: 1 };
    const beyond = { path: 'a', off: 100, len: 0 };
    expect(await failure(collect(reader.readv(version, [good, beyond])))).toBe('range_not_satisfiable');
    expect(await failure(collect(reader.readv(version, [good, { path: 'b', off: 0, len: 0 }])))).toBe('path_not_found');
    expect(store.gets.length).toBe(0);
  });
});

describe('memory', () => {
  test('64 readers of 64 files progress under a limit of 2 MiB', async () => {
    const { store, reader, memory } = readBench({ memoryBytes: 2 * MIB });
    const files = Array.from({ length: 64 }, (_, index) => ({
      path: `f${index}`,
      bytes: someBytes(600_000, index),
      pageSizeBytes: 256 * KIB,
    }));
    const version = await publishBytes(store, files);
    const all = await Promise.all(
      files.map(async ({ path, bytes }) => {
        const entry = await version.lookup(path);
        return (await collect(reader.stream(version, entry, { off: 0, len: bytes.length }))).equals(bytes);
      }),
    );
    expect(all.every(Boolean)).toBe(true);
    expect(memory.inUseBytes).toBe(0);
  });
});
