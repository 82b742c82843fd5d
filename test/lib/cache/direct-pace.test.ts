import { expect, test } from 'vitest';
import { MIB } from '../../../src/lib/base/units.ts';
import { DirectPace } from '../../../src/lib/cache/direct-pace.ts';
import { manualClock } from '../../support/manual-clock.ts';

/** A pace whose disk takes one write of 8 MiB after the other, each in so many ms, as long as it allows it: at most 100. */
function paceOf(tookMs: number): { pace: DirectPace; clock: ReturnType<typeof manualClock>; writes: number } {
  const clock = manualClock();
  const pace = new DirectPace(clock);
  let writes = 0;
  while (writes < 100 && pace.allows(8 * MIB)) {
    clock.advance(tookMs);
    pace.wrote(8 * MIB, tookMs);
    writes += 1;
  }
  return { pace, clock, writes };
}

test('a disk that keeps up is written to past the page cache, always', () => {
  expect(paceOf(20).writes).toBe(100);
});

test('a disk that falls behind by a quarter of a second is spared for ten, and then tried again', () => {
  // 8 MiB are due in 20 ms: each of these writes falls behind by 50.
  const { pace, clock, writes } = paceOf(70);
  expect(writes).toBe(5);
  clock.advance(9999);
  expect(pace.allows(8 * MIB)).toBe(false);
  clock.advance(1);
  expect(pace.allows(8 * MIB)).toBe(true);
  pace.wrote(8 * MIB, 240);
  expect(pace.allows(8 * MIB)).toBe(true);
});

test('one slow write among fast ones is forgotten', () => {
  const pace = new DirectPace(manualClock());
  for (let round = 0; round < 50; round += 1) {
    pace.wrote(8 * MIB, 200);
    for (let fast = 0; fast < 20; fast += 1) pace.wrote(8 * MIB, 10);
    expect(pace.allows(8 * MIB)).toBe(true);
  }
});

test('a disk that was quick for long is slow as soon as any other', () => {
  const pace = new DirectPace(manualClock());
  for (let fast = 0; fast < 1000; fast += 1) pace.wrote(8 * MIB, 1);
  pace.wrote(8 * MIB, 280);
  expect(pace.allows(8 * MIB)).toBe(false);
});

test('little at once goes through the page cache', () => {
  const pace = new DirectPace(manualClock());
  expect([pace.allows(256 * 1024), pace.allows(256 * 1024 - 1)]).toEqual([true, false]);
});
