import { expect, test } from 'vitest';
import { InlineReads } from '../../../src/lib/cache/inline-reads.ts';

test('one that took long stops them for a while, longer each time, until many were quick', () => {
  let nowMs = 0;
  let diskBlocks = 0;
  const inline = new InlineReads(() => (diskBlocks += 32));
  const allowed = (): boolean => inline.allows(nowMs);
  const readIn = (ms: number): void => inline.took({ startedMs: nowMs, endedMs: (nowMs += ms) });
  /** How long they are not done from now on. */
  const pauseMs = (): number => {
    const sinceMs = nowMs;
    while (!allowed()) nowMs += 1;
    return nowMs - sinceMs;
  };
  readIn(2 ** -6);
  expect(pauseMs()).toBe(0);
  const pauses = Array.from({ length: 9 }, () => (readIn(5), pauseMs()));
  expect(pauses).toEqual([10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
  for (let count = 0; count <= 1000; count += 1) readIn(2 ** -6);
  readIn(5);
  expect(pauseMs()).toBe(10);
});

test('one that took long while no disk was read stops nothing, as long as most are quick', () => {
  let nowMs = 0;
  let diskBlocks = 7;
  const inline = new InlineReads(() => diskBlocks);
  const stopsAfter = (ms: number): boolean => {
    inline.took({ startedMs: nowMs, endedMs: (nowMs += ms) });
    return !inline.allows(nowMs);
  };
  const quick = (count: number): void => {
    expect(Array.from({ length: count }, () => stopsAfter(2 ** -6))).not.toContain(true);
  };
  // How many blocks there were before is not known yet.
  expect(stopsAfter(5)).toBe(true);
  nowMs += 1000;
  for (let round = 0; round < 100; round += 1) {
    quick(64);
    expect(stopsAfter(5)).toBe(false);
  }
  quick(63);
  expect(stopsAfter(5)).toBe(true);
  nowMs += 1000;
  quick(10_000);
  const slow = Array.from({ length: 16 }, () => stopsAfter(5));
  expect(slow).toEqual([...Array.from({ length: 15 }, () => false), true]);
  nowMs += 1000;
  quick(10_000);
  diskBlocks += 32;
  expect(stopsAfter(5)).toBe(true);
});
