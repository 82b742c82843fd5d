import { expect, test } from 'vitest';
import { MemoryGovernor, SLAB_BYTES } from '../../../src/lib/base/memory.ts';
import { HeldSlabs } from '../../../src/lib/read/held-slabs.ts';
import type { FilePage } from '../../../src/lib/read/pages.ts';

test('slabs are found by page and granule, taken once, and given back where nobody took them', async () => {
  const memory = new MemoryGovernor({ limitBytes: 8 * SLAB_BYTES });
  const [one, same, other] = ['one', 'one', 'other'].map((key) => ({ key }) as FilePage) as [
    FilePage,
    FilePage,
    FilePage,
  ];
  const slabs = (await memory.acquire([1, 2, 3, 4], { lane: 'demand' }))!;
  const held = new HeldSlabs();
  for (const [index, granule] of [4, 5, 6].entries()) held.add(one, granule, slabs[index]!);
  held.add(other, 5, slabs[3]!);
  expect([held.has(same, 6), held.has(same, 7), held.has(other, 5), held.has(other, 6)]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  const taken = held.take(same, { first: 4, count: 2 });
  expect(taken.map(({ bytes }) => bytes.length)).toEqual([1, 2]);
  expect([held.has(one, 4), held.has(one, 6)]).toEqual([false, true]);
  held.release();
  expect(memory.inUseBytes).toBe(2 * SLAB_BYTES);
  for (const slab of taken) slab.release();
  expect(memory.inUseBytes).toBe(0);
});
