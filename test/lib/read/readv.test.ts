import { afterEach, describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/lib/base/random.ts';
import type { Slab } from '../../../src/lib/base/memory.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import type { Extent } from '../../../src/lib/read/reader.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { closeBenches, readBench } from '../../support/read-bench.ts';

afterEach(closeBenches);

/**
 * The fewest GETs that cover the granules under the limits, by trying every last GET for every prefix of them.
 * `granules`: object offsets, ascending, all of them of GRANULE_BYTES.
 */
function fewestGets(granules: readonly number[], limits: { getBytesMax: number; gapBytesMax: number }): number {
  const fewest = [0];
  for (let end = 1; end <= granules.length; end += 1) {
    let best = Infinity;
    for (let start = end - 1; start >= 0; start -= 1) {
      if (granules[end - 1]! + GRANULE_BYTES - granules[start]! > limits.getBytesMax) break;
      best = Math.min(best, fewest[start]! + 1);
      if (start > 0 && granules[start]! - granules[start - 1]! - GRANULE_BYTES > limits.gapBytesMax) break;
    }
    fewest.push(best);
  }
  return fewest.at(-1)!;
}

/** Small files, an extent for each of them in shuffled order, and the bytes of those. */
function shuffledFiles(count: number, bytesOf: (index: number) => Buffer, seed: number) {
  const files = Array.from({ length: count }, (_, index) => ({
    path: String(index).padStart(4, '0'),
    bytes: bytesOf(index),
    pageSizeBytes: 64 * KIB,
  }));
  const random = seededRandom(seed);
  const shuffled = files
    .map((file) => ({ file, at: random.unit() }))
    .sort((a, b) => a.at - b.at)
    .map(({ file }) => file);
  const extents: Extent[] = shuffled.map(({ path, bytes }) => ({ path, off: 0, len: bytes.length }));
  return { files, extents, expected: Buffer.concat(shuffled.map(({ bytes }) => bytes)) };
}

describe('a cold readv', () => {
  test('of shuffled extents asks for their bytes in the order in which they come out', async () => {
    const { store, reader } = readBench({ limits: { rangeCoalesceMaxBytes: GRANULE_BYTES, gapBytesMax: 0 } });
    const bytes = someBytes(64 * GRANULE_BYTES);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 2 * MIB }]);
    // Every granule once: 37 and 64 have no common divisor.
    const offs = Array.from({ length: 64 }, (_, index) => ((index * 37) % 64) * GRANULE_BYTES);
    const got = await collect(
      reader.readv(
        version,
        offs.map((off) => ({ path: 'a', off, len: GRANULE_BYTES })),
      ),
    );
    expect(got.equals(Buffer.concat(offs.map((off) => bytes.subarray(off, off + GRANULE_BYTES))))).toBe(true);
    expect(store.gets.map(({ range }) => range.off)).toEqual(offs);
  });

  test.each([
    ['sparse', 160, 32, 0],
    ['dense', 64, 4, 256 * KIB],
  ])(
    'of 1,000 random 4 KiB extents of one file sends as few GETs as there can be (%s)',
    async (_name, sizeMib, coalesceMib, gapBytesMax) => {
      const limits = { rangeCoalesceMaxBytes: coalesceMib * MIB, gapBytesMax };
      const { store, reader } = readBench({ limits });
      // One MiB again and again: bytes that differ everywhere are not needed to see a wrong offset.
      const block = someBytes(MIB + 4096);
      const bytes = Buffer.alloc(sizeMib * MIB, block);
      const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
      const random = seededRandom(42);
      const extents: Extent[] = Array.from({ length: 1000 }, () => ({
        path: 'a',
        off: Math.floor(random.unit() * (bytes.length - 4096)),
        len: 4096,
      }));
      const got = await collect(reader.readv(version, extents));
      expect(got.equals(Buffer.concat(extents.map(({ off, len }) => bytes.subarray(off, off + len))))).toBe(true);
      const granules = new Set<number>();
      for (const { off, len } of extents) {
        granules.add(Math.floor(off / GRANULE_BYTES)).add(Math.floor((off + len - 1) / GRANULE_BYTES));
      }
      const sorted = [...granules].sort((a, b) => a - b).map((granule) => granule * GRANULE_BYTES);
      const optimum = fewestGets(sorted, { getBytesMax: coalesceMib * MIB, gapBytesMax });
      expect(store.gets.length).toBe(optimum);
    },
  );

  test.each([
    ['gets', 1],
    ['bytes', 2],
    [undefined, 2],
  ] as const)('fetches larger gaps where GETs are what is short (%s exhausted: %i GETs)', async (exhausted, gets) => {
    const { store, reader } = readBench({ deps: { exhausted: () => exhausted } });
    const bytes = someBytes(2 * MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 2 * MIB }]);
    const extents = [0, MIB].map((off) => ({ path: 'a', off, len: 4096 }));
    const got = await collect(reader.readv(version, extents));
    expect(got.equals(Buffer.concat(extents.map(({ off, len }) => bytes.subarray(off, off + len))))).toBe(true);
    expect(store.gets.length).toBe(gets);
  });

  test('of 1,000 small files sends one GET for each object, or for each stretch of a pack', async () => {
    const { files, extents, expected } = shuffledFiles(1000, (index) => someBytes(4000 + index, index), 3);
    for (const [pack, gets] of [
      [false, 1000],
      [true, 1],
    ] as const) {
      const { store, reader } = readBench();
      const version = await publishBytes(store, files, { pack });
      expect((await collect(reader.readv(version, extents))).equals(expected)).toBe(true);
      expect(store.gets.length).toBe(gets);
    }
  });

  test.each([
    ['all, in order', 1, 32 * MIB, 0],
    ['one in ten, shuffled', 10, 32 * MIB, 0],
    ['one in ten, shuffled, with gaps', 10, 256 * KIB, 24 * KIB],
  ])('of 1,000 files of 4 KiB in one pack sends as few GETs as there can be (%s)', async (_name, oneIn, max, gap) => {
    const FILES = 1000;
    const SIZE = 4 * KIB;
    const files = Array.from({ length: FILES }, (_, index) => ({
      path: String(index).padStart(4, '0'),
      bytes: someBytes(SIZE, index),
      pageSizeBytes: 64 * KIB,
    }));
    const random = seededRandom(5);
    const chosen = files
      .map((_, index) => ({ index, at: oneIn === 1 ? index : random.unit() }))
      .sort((a, b) => a.at - b.at)
      .map(({ index }) => index)
      .slice(0, FILES / oneIn);
    const { store, reader } = readBench({ limits: { rangeCoalesceMaxBytes: max, gapBytesMax: gap } });
    const version = await publishBytes(store, files, { pack: true });
    const extents = chosen.map((index) => ({ path: files[index]!.path, off: 0, len: SIZE }));
    const expected = Buffer.concat(chosen.map((index) => files[index]!.bytes));
    expect((await collect(reader.readv(version, extents))).equals(expected)).toBe(true);
    // Each GET as long as it can be: with pieces that no GET may share in part, none does better.
    let optimum = 0;
    let start = -Infinity;
    let end = -Infinity;
    for (const off of chosen.map((index) => index * SIZE).sort((a, b) => a - b)) {
      if (off - end > gap || off + SIZE - start > max) {
        optimum += 1;
        start = off;
      }
      end = off + SIZE;
    }
    expect(store.gets.length).toBe(optimum);
    if (oneIn === 1) expect(optimum).toBeLessThanOrEqual(FILES / 100);
  });

  test('of 1,500 small files in one pack, shuffled, is one GET with memory for 32 granules, and right when they are cached', async () => {
    const { files, extents, expected } = shuffledFiles(1500, (index) => someBytes(1 * KIB, index), 7);
    const { store, cache, memory, reader } = readBench({ memoryBytes: 4 * MIB });
    const version = await publishBytes(store, files, { pack: true });
    let inUseBytesMax = 0;
    async function* watched(): AsyncGenerator<Slab> {
      for await (const slab of reader.readv(version, extents)) {
        inUseBytesMax = Math.max(inUseBytesMax, memory.inUseBytes);
        yield slab;
      }
    }
    // The second is measured while nothing is there, and gets its memory when all of it is.
    const both = await Promise.all([collect(watched()), collect(watched())]);
    for (const got of both) expect(got.equals(expected)).toBe(true);
    expect(store.gets.length).toBe(1);
    expect(cache.granules).toBe(1500);
    expect((await collect(watched())).equals(expected)).toBe(true);
    expect(store.gets.length).toBe(1);
    expect(inUseBytesMax).toBeLessThanOrEqual(4 * MIB);
  });

  test('holds its memory within the limit when it is larger than that', async () => {
    const { store, reader, memory } = readBench({ memoryBytes: 4 * MIB });
    const bytes = someBytes(24 * MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
    const random = seededRandom(9);
    const extents = Array.from({ length: 300 }, () => {
      const off = Math.floor(random.unit() * bytes.length);
      return { path: 'a', off, len: Math.min(bytes.length - off, Math.floor(random.unit() * 300_000)) };
    });
    let inUseBytesMax = 0;
    let index = 0;
    let left = extents[0]!.len;
    for await (const slab of reader.readv(version, extents)) {
      inUseBytesMax = Math.max(inUseBytesMax, memory.inUseBytes);
      for (let at = 0; at < slab.bytes.length;) {
        while (left === 0) left = extents[++index]!.len;
        const { off, len } = extents[index]!;
        const count = Math.min(left, slab.bytes.length - at);
        const from = off + len - left;
        expect(slab.bytes.subarray(at, at + count).equals(bytes.subarray(from, from + count))).toBe(true);
        at += count;
        left -= count;
      }
      slab.release();
    }
    expect(inUseBytesMax).toBeLessThanOrEqual(4 * MIB);
    expect(inUseBytesMax).toBeGreaterThan(0);
  });
});
