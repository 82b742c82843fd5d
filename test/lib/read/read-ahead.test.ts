import { afterEach, describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { closeBenches, readBench, type ReadBench } from '../../support/read-bench.ts';

afterEach(closeBenches);

const STEP = 256 * KIB;

function speculativeGets({ store }: ReadBench): number {
  return store.gets.filter(({ lane }) => lane === 'speculation').length;
}

describe('read-ahead', () => {
  test('a reader that goes through a file in small reads is served by few large GETs', async () => {
    const bench = readBench();
    const bytes = someBytes(32 * MIB);
    const version = await publishBytes(bench.store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
    const entry = await version.lookup('a');
    for (let off = 0; off < bytes.length; off += STEP) {
      const got = await collect(bench.reader.stream(version, entry, { off, len: STEP }));
      expect(got.equals(bytes.subarray(off, off + STEP))).toBe(true);
    }
    expect(speculativeGets(bench)).toBeGreaterThan(0);
    expect(bench.store.gets.length).toBeLessThan(bytes.length / STEP / 2);
    expect(bench.store.gotBytes).toBe(bytes.length);
  });

  test('two readers interleaved in one file are two sequential readers', async () => {
    const bench = readBench();
    const bytes = someBytes(16 * MIB);
    const version = await publishBytes(bench.store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
    const entry = await version.lookup('a');
    for (let step = 0; step < 32; step += 1) {
      for (const base of [0, 8 * MIB]) {
        const off = base + step * STEP;
        const got = await collect(bench.reader.stream(version, entry, { off, len: STEP }));
        expect(got.equals(bytes.subarray(off, off + STEP))).toBe(true);
      }
    }
    expect(bench.store.gets.length).toBeLessThan(32);
  });

  test('shards that are read in a shuffled order, each from its start to its end, are read ahead', async () => {
    const bench = readBench();
    const bytes = someBytes(4 * MIB);
    const paths = ['6', '2', '7', '0', '4', '1', '5', '3'];
    const files = paths.map((path) => ({ path, bytes, pageSizeBytes: 4 * MIB }));
    const version = await publishBytes(bench.store, files);
    for (const path of paths) {
      const getsBefore = bench.store.gets.length;
      const entry = await version.lookup(path);
      for (let off = 0; off < bytes.length; off += STEP) {
        await collect(bench.reader.stream(version, entry, { off, len: STEP }));
      }
      expect(bench.store.gets.length - getsBefore, `GETs for ${path}, 16 reads`).toBeLessThan(8);
    }
    expect(bench.store.gotBytes).toBe(paths.length * bytes.length);
  });

  test('the window doubles while the reader waits for the store, and halves each time that memory is refused', async () => {
    const { store, reader, memory } = readBench();
    const bytes = someBytes(64 * MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
    const entry = await version.lookup('a');
    // What is fetched ahead begins only when the reader asks for it, and takes a while: so each time the reader waits.
    const held = new Set<() => void>();
    store.beforeGet = async ({ lane, promotion, signal }) => {
      if (lane === 'speculation' && !promotion!.aborted) {
        await new Promise<void>((resolve) => {
          held.add(resolve);
          for (const end of [promotion!, signal!]) end.addEventListener('abort', () => resolve());
        });
      }
      await new Promise(setImmediate);
    };
    let off = 0;
    const readTo = async (end: number): Promise<void> => {
      for (; off < end; off += STEP) await collect(reader.stream(version, entry, { off, len: STEP }));
    };
    const longest = (from: number): number =>
      Math.max(0, ...store.gets.slice(from).map(({ lane, range }) => (lane === 'speculation' ? range.len : 0)));
    await readTo(16 * MIB);
    expect(longest(0)).toBeGreaterThanOrEqual(8 * MIB);
    store.beforeGet = undefined;
    for (const begin of held) begin();
    while (store.active > 0) await new Promise(setImmediate);
    const release = await memory.tickets.acquire({ permits: memory.tickets.capacity - 6 });
    const getsBefore = store.gets.length;
    await readTo(56 * MIB);
    expect(longest(getsBefore), 'nothing is fetched ahead').toBe(0);
    release();
    const getsAtRelease = store.gets.length;
    while (longest(getsAtRelease) === 0 && off < bytes.length) await readTo(off + STEP);
    expect(longest(getsAtRelease)).toBeGreaterThan(0);
    expect(longest(getsAtRelease)).toBeLessThanOrEqual(4 * MIB);
  });

  test('a random reader gets none', async () => {
    const bench = readBench();
    const bytes = someBytes(16 * MIB);
    const version = await publishBytes(bench.store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
    const entry = await version.lookup('a');
    const random = seededRandom(7);
    for (let read = 0; read < 100; read += 1) {
      const off = Math.floor(random.unit() * (bytes.length - 100_000));
      await collect(bench.reader.stream(version, entry, { off, len: 100_000 }));
    }
    expect(speculativeGets(bench)).toBe(0);
  });

  test('reads in order that come long after each other, as in shuffled epochs, are no sequential reader', async () => {
    const bench = readBench();
    const bytes = someBytes(8 * MIB);
    const files = ['a', 'b'].map((path) => ({ path, bytes, pageSizeBytes: 8 * MIB }));
    const version = await publishBytes(bench.store, files);
    const [a, b] = [await version.lookup('a'), await version.lookup('b')];
    for (let step = 0; step < 16; step += 1) {
      await collect(bench.reader.stream(version, a, { off: step * STEP, len: STEP }));
      for (let other = 0; other < 32; other += 1) {
        await collect(bench.reader.stream(version, b, { off: 100 * KIB, len: 1 }));
      }
    }
    expect(speculativeGets(bench)).toBe(0);
  });

  test('a cache that would not keep what is fetched ahead gets none', async () => {
    const bench = readBench();
    bench.cache.capacityGranules = 0;
    const bytes = someBytes(8 * MIB);
    const version = await publishBytes(bench.store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
    const entry = await version.lookup('a');
    for (let off = 0; off < bytes.length; off += MIB) {
      await collect(bench.reader.stream(version, entry, { off, len: MIB }));
    }
    expect(speculativeGets(bench)).toBe(0);
    expect(bench.store.gotBytes).toBe(bytes.length);
  });

  test('while the budget is exhausted there is none', async () => {
    const state = { exhausted: 'bytes' as 'bytes' | undefined };
    const bench = readBench({ deps: { exhausted: () => state.exhausted } });
    const bytes = someBytes(16 * MIB);
    const version = await publishBytes(bench.store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
    const entry = await version.lookup('a');
    const readUpTo = async (from: number, to: number): Promise<void> => {
      for (let off = from; off < to; off += STEP) {
        await collect(bench.reader.stream(version, entry, { off, len: STEP }));
      }
    };
    await readUpTo(0, 4 * MIB);
    expect(speculativeGets(bench)).toBe(0);
    state.exhausted = undefined;
    await readUpTo(4 * MIB, 8 * MIB);
    expect(speculativeGets(bench)).toBeGreaterThan(0);
  });

  test('with no memory to spare the reads go on by themselves', async () => {
    const bench = readBench({ memoryBytes: MIB });
    const bytes = someBytes(4 * MIB);
    const version = await publishBytes(bench.store, [{ path: 'a', bytes, pageSizeBytes: 2 * MIB }]);
    const entry = await version.lookup('a');
    for (let off = 0; off < bytes.length; off += 64 * KIB) {
      const got = await collect(bench.reader.stream(version, entry, { off, len: 64 * KIB }));
      expect(got.equals(bytes.subarray(off, off + 64 * KIB))).toBe(true);
    }
  });
});
