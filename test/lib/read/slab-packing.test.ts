import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemoryGovernor, SLAB_BYTES } from '../../../src/lib/base/memory.ts';
import { acquirePacked, packed, SlabNeed } from '../../../src/lib/read/slab-packing.ts';

const granules = fc.array(
  fc.oneof(fc.integer({ min: 1, max: SLAB_BYTES }), fc.integer({ min: 1, max: 5000 }), fc.constant(SLAB_BYTES / 4)),
  { maxLength: 200 },
);

test('every granule has its place, no two share a byte, and no order needs more slabs than were foreseen', () => {
  fc.assert(
    fc.property(granules, (granuleBytes) => {
      const { lengths, places } = packed(granuleBytes);
      const ends = lengths.map(() => 0);
      for (const [index, { slab, start }] of places.entries()) {
        expect(start).toBe(ends[slab]);
        ends[slab] = start + granuleBytes[index]!;
      }
      expect(ends).toEqual(lengths);
      expect(Math.max(0, ...lengths)).toBeLessThanOrEqual(SLAB_BYTES);
      const need = new SlabNeed();
      for (const bytes of granuleBytes) {
        if (bytes > SLAB_BYTES / 4) need.addWhole(1);
        else need.addPacked(bytes);
      }
      expect(lengths.length).toBeLessThanOrEqual(need.slabs);
    }),
  );
});

test('a need takes the first granule whatever it is, and later ones up to the bound', () => {
  const need = new SlabNeed();
  expect([need.addWhole(5, 4), need.slabs]).toEqual([true, 5]);
  expect([need.addWhole(1, 5), need.addPacked(10, 5), need.slabs]).toEqual([false, false, 5]);
  expect([need.addPacked(10, 6), need.addPacked(1000, 6), need.slabs]).toEqual([true, true, 6]);
  const small = new SlabNeed();
  expect([small.addPacked(10, 0), small.addPacked(10, 0), small.slabs]).toEqual([true, false, 1]);
});

test('a shared slab goes back with the last of those that share it', async () => {
  const memory = new MemoryGovernor({ limitBytes: 4 * SLAB_BYTES });
  const slabs = (await acquirePacked(memory, [4096, SLAB_BYTES, 4096], { lane: 'demand' }))!;
  expect(slabs.map(({ bytes }) => bytes.length)).toEqual([4096, SLAB_BYTES, 4096]);
  for (const [index, { bytes }] of slabs.entries()) bytes.fill(index + 1);
  expect(slabs.map(({ bytes }) => bytes.every((byte) => byte === bytes[0]) && bytes[0])).toEqual([1, 2, 3]);
  expect(memory.inUseBytes).toBe(2 * SLAB_BYTES);
  slabs[0]!.release();
  expect(memory.inUseBytes).toBe(2 * SLAB_BYTES);
  slabs[2]!.release();
  expect(memory.inUseBytes).toBe(SLAB_BYTES);
  slabs[1]!.release();
  expect(memory.inUseBytes).toBe(0);
});

test('speculation is refused as a whole', async () => {
  const memory = new MemoryGovernor({ limitBytes: 4 * SLAB_BYTES });
  expect(
    await acquirePacked(
      memory,
      Array.from({ length: 4 }, () => SLAB_BYTES),
      { lane: 'speculation' },
    ),
  ).toBe(undefined);
  expect(memory.inUseBytes).toBe(0);
});
