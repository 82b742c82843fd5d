import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { SlabArenas } from '../../../src/lib/base/slab-arenas.ts';

const SLAB_BYTES = 4096;

/** A prefault that takes until it is told to end. */
function heldPrefault(): { calls: Buffer[]; prefault: (memory: Buffer) => Promise<void>; end: () => Promise<void> } {
  const calls: Buffer[] = [];
  let ends: (() => void)[] = [];
  return {
    calls,
    prefault: (memory) => {
      calls.push(memory);
      return new Promise((resolve) => ends.push(resolve));
    },
    end: async () => {
      for (const resolve of ends) resolve();
      ends = [];
      await turn();
    },
  };
}

function overlaps(a: Buffer, b: Buffer): boolean {
  return a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.length && b.byteOffset < a.byteOffset + a.length;
}

function take(arenas: SlabArenas, count: number): Buffer[] {
  return Array.from({ length: count }, () => arenas.take());
}

describe('memory that is made resident ahead', () => {
  test('is not given to anybody meanwhile, then before other memory, and nothing is given twice', async () => {
    const { calls, prefault, end } = heldPrefault();
    const arenas = new SlabArenas({ slabBytes: SLAB_BYTES, slabsMax: 1000, prefault });
    const slabs = take(arenas, 200);
    expect(calls).toHaveLength(1);
    const [ahead] = calls;
    expect(slabs.filter((slab) => overlaps(slab, ahead!))).toEqual([]);
    await end();
    const next = take(arenas, ahead!.length / SLAB_BYTES / 2);
    expect(next.filter((slab) => !overlaps(slab, ahead!))).toEqual([]);
    slabs.push(...next, ...take(arenas, 300));
    for (const [index, slab] of slabs.entries()) slab.fill(index % 251);
    expect(slabs.findIndex((slab, index) => !slab.every((byte) => byte === index % 251))).toBe(-1);
  });

  test('is one piece at a time, and the next before the last is used up', async () => {
    const { calls, prefault, end } = heldPrefault();
    const arenas = new SlabArenas({ slabBytes: SLAB_BYTES, slabsMax: 4096, prefault });
    take(arenas, 100);
    expect(calls).toHaveLength(1);
    await end();
    take(arenas, calls[0]!.length / SLAB_BYTES - 1);
    expect(calls).toHaveLength(2);
    expect(overlaps(calls[0]!, calls[1]!)).toBe(false);
  });

  test('is none for whoever uses little', () => {
    const { calls, prefault } = heldPrefault();
    take(new SlabArenas({ slabBytes: SLAB_BYTES, slabsMax: 1000, prefault }), 15);
    expect(calls).toEqual([]);
  });

  test('is no reason to wait: whoever needs it all gets as much again in one piece', () => {
    const { calls, prefault } = heldPrefault();
    const slabsMax = 300;
    const slabs = take(new SlabArenas({ slabBytes: SLAB_BYTES, slabsMax, prefault }), slabsMax);
    expect(slabs.filter((slab) => calls.some((memory) => overlaps(slab, memory)))).toEqual([]);
    const pieces = new Set([...slabs, ...calls].map(({ buffer }) => buffer));
    expect(pieces.size).toBeLessThanOrEqual(4);
  });
});
