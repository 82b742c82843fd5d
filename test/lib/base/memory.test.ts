import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { isPageAligned } from '../../../src/lib/base/page-aligned.ts';
import { MemoryGovernor, SLAB_BYTES, type Slab } from '../../../src/lib/base/memory.ts';

const demand = { lane: 'demand' } as const;
const speculation = { lane: 'speculation' } as const;
const governorOf = (slabs: number): MemoryGovernor => new MemoryGovernor({ limitBytes: slabs * SLAB_BYTES });
const ones = (count: number): number[] => Array.from({ length: count }, () => 1);

async function take(governor: MemoryGovernor, count: number): Promise<Slab[]> {
  return (await governor.acquire(ones(count), demand))!;
}

function releaseAll(slabs: readonly Slab[]): void {
  for (const slab of slabs) slab.release();
}

describe('slabs', () => {
  test('have the lengths that were asked for and come back for reuse', async () => {
    const governor = governorOf(2);
    const [a, b] = (await governor.acquire([5, SLAB_BYTES], demand))!;
    expect([a!.bytes.length, b!.bytes.length, governor.inUseBytes]).toEqual([5, SLAB_BYTES, 2 * SLAB_BYTES]);
    const memory = a!.bytes.buffer;
    releaseAll([b!, a!]);
    const [again] = await take(governor, 1);
    expect(again!.bytes.buffer).toBe(memory);
  });

  test('lie apart, as many as the limit holds, and in a few pieces of memory', async () => {
    const count = 100;
    const memory = new MemoryGovernor({ limitBytes: count * SLAB_BYTES });
    const lengths = Array.from({ length: count }, () => SLAB_BYTES);
    const slabs = (await memory.acquire(lengths, { lane: 'demand' }))!;
    for (const [index, slab] of slabs.entries()) slab.bytes.fill(index);
    for (const [index, slab] of slabs.entries()) expect(slab.bytes.equals(Buffer.alloc(SLAB_BYTES, index))).toBe(true);
    expect(new Set(slabs.map((slab) => slab.bytes.buffer)).size).toBeLessThan(10);
    for (const slab of slabs) slab.release();
  });

  test('begin at a page of memory, which threads can share', async () => {
    const [a, b] = await take(governorOf(2), 2);
    expect([isPageAligned(a!.bytes), isPageAligned(b!.bytes)]).toEqual([true, true]);
    expect(a!.bytes.byteOffset).not.toBe(b!.bytes.byteOffset);
  });

  test('take memory when they are first used: later ones have that of those that were released', async () => {
    const memory = new MemoryGovernor({ limitBytes: 64 * SLAB_BYTES });
    const lengths = Array.from({ length: 64 }, () => SLAB_BYTES);
    const slabs = (await memory.acquire(lengths, { lane: 'demand' }))!;
    expect(memory.inUseBytes).toBe(memory.limitBytes);
    const places = new Set<number>();
    for (const slab of slabs) {
      const part = slab.slice(5, 10);
      places.add(slab.bytes.byteOffset);
      expect(part.bytes.byteOffset).toBe(slab.bytes.byteOffset + 5);
      slab.release();
      part.release();
    }
    expect(places.size).toBe(1);
    expect(memory.inUseBytes).toBe(0);
  });

  test('that were released before they were used cannot be used', async () => {
    const memory = new MemoryGovernor({ limitBytes: SLAB_BYTES });
    const [slab] = (await memory.acquire([10], { lane: 'demand' }))!;
    slab!.release();
    expect(() => slab!.bytes).toThrow('after its last release');
  });

  test('go back with the last reference, that of a slice included', async () => {
    const governor = governorOf(1);
    const [slab] = (await governor.acquire([100], demand))!;
    slab!.bytes.write('hello', 10);
    const slice = slab!.slice(10, 15);
    const second = slice.retain();
    slab!.release();
    slice.release();
    expect([second.bytes.toString(), governor.inUseBytes]).toEqual(['hello', SLAB_BYTES]);
    second.release();
    expect(governor.inUseBytes).toBe(0);
  });

  test('are narrowed in place by their only holder, and without a change for the others', async () => {
    const governor = governorOf(1);
    const slab = governor.tryAcquireOne(100)!;
    expect(governor.tryAcquireOne(1)).toBeUndefined();
    slab.bytes.write('hello', 10);
    const other = slab.retain();
    const part = slab.narrow(10, 15);
    expect([part.bytes.toString(), other.bytes.length]).toEqual(['hello', 100]);
    other.release();
    const end = part.narrow(3, 5);
    expect([end.bytes.toString(), governor.inUseBytes]).toEqual(['lo', SLAB_BYTES]);
    end.release();
    expect([governor.inUseBytes, governor.tryAcquireOne(SLAB_BYTES)!.bytes.length]).toEqual([0, SLAB_BYTES]);
  });

  test('cannot be released or retained after the last reference', async () => {
    const [slab] = await take(governorOf(1), 1);
    slab!.release();
    expect(() => slab!.release()).toThrow(/twice/);
    expect(() => slab!.retain()).toThrow(/after its last/);
    expect(() => slab!.slice(0, 1)).toThrow(/after its last/);
  });

  test('longer than a slab, or more than there will ever be, are refused at once', async () => {
    const governor = governorOf(2);
    await expect(governor.acquire([SLAB_BYTES + 1], demand)).rejects.toThrow(RangeError);
    await expect(governor.acquire(ones(3), demand)).rejects.toThrow(RangeError);
    expect(governor.inUseBytes).toBe(0);
  });
});

describe('demand', () => {
  test('waits in order, all its slabs at once', async () => {
    const governor = governorOf(3);
    const held = await take(governor, 2);
    const order: string[] = [];
    const large = take(governor, 3).then((slabs) => (order.push('large'), slabs));
    const small = take(governor, 1).then((slabs) => (order.push('small'), slabs));
    await turn();
    expect([order, governor.waiting, governor.tryAcquire([1])]).toEqual([[], 2, undefined]);
    releaseAll(held);
    releaseAll(await large);
    releaseAll(await small);
    expect([order, governor.inUseBytes]).toEqual([['large', 'small'], 0]);
  });

  test('that is aborted rejects, and those behind it pass', async () => {
    const governor = governorOf(2);
    const held = await take(governor, 1);
    const abort = new AbortController();
    const large = governor.acquire(ones(2), { lane: 'demand', signal: abort.signal });
    const small = take(governor, 1);
    abort.abort();
    await expect(large).rejects.toMatchObject({ code: 'interrupted' });
    releaseAll([...(await small), ...held]);
    expect([governor.inUseBytes, governor.waiting]).toEqual([0, 0]);
  });

  test('makes holders give back what is missing, and no more than that', async () => {
    const governor = governorOf(4);
    const cached = await take(governor, 4);
    const asked: number[] = [];
    const reclaim = (slabs: number): void => {
      asked.push(slabs);
      releaseAll(cached.splice(0, Math.min(slabs, cached.length)));
    };
    governor.onPressure(reclaim);
    const unregister = governor.onPressure((slabs) => asked.push(-slabs));
    releaseAll(await take(governor, 2));
    expect([asked, cached.length]).toEqual([[2], 2]);
    unregister();
  });

  test('that found holders empty-handed asks them again when something changes', async () => {
    const governor = governorOf(2);
    const held = await take(governor, 2);
    const cached: Slab[] = [];
    governor.onPressure(() => releaseAll(cached.splice(0)));
    const waiting = take(governor, 2);
    await turn();
    // The holder takes over one of the two, and only then can it give it back.
    cached.push(held.pop()!);
    releaseAll(held);
    expect(await waiting).toHaveLength(2);
  });
});

describe('speculation', () => {
  test('leaves a quarter to demand and is refused while demand waits', async () => {
    const governor = governorOf(8);
    const ahead = (await governor.acquire(ones(6), speculation))!;
    expect(await governor.acquire([1], speculation)).toBeUndefined();
    const held = await take(governor, 2);
    const waiting = take(governor, 4);
    releaseAll(ahead.splice(0, 3));
    expect(governor.waiting).toBe(1);
    expect(await governor.acquire([1], speculation)).toBeUndefined();
    releaseAll([...ahead, ...held]);
    releaseAll(await waiting);
  });
});
