import { describe, expect, test } from 'vitest';
import { TokenBucket } from '../../../src/lib/base/token-bucket.ts';
import { manualClock } from '../../support/manual-clock.ts';

describe('TokenBucket', () => {
  test('gives its burst at once, and then the rate', () => {
    const clock = manualClock();
    const bucket = new TokenBucket({ ratePerS: 10, burst: 3, clock });
    expect([1, 2, 3, 4].map(() => bucket.tryTake())).toEqual([true, true, true, false]);
    expect(bucket.delayMs()).toBeCloseTo(100);
    clock.advance(99);
    expect(bucket.tryTake()).toBe(false);
    clock.advance(1);
    expect(bucket.tryTake()).toBe(true);
    expect(bucket.tryTake()).toBe(false);
  });

  test('saves up no more than its burst', () => {
    const clock = manualClock();
    const bucket = new TokenBucket({ ratePerS: 10, burst: 2, clock });
    clock.advance(1_000_000);
    expect([1, 2, 3].map(() => bucket.tryTake())).toEqual([true, true, false]);
  });

  test('never gives more than burst + rate × time, however it is asked', () => {
    const clock = manualClock();
    const bucket = new TokenBucket({ ratePerS: 37, burst: 5, clock });
    let taken = 0;
    for (let step = 0; step < 5000; step += 1) {
      while (bucket.tryTake()) taken += 1;
      clock.advance(step % 7);
    }
    const seconds = clock.monotonicMs() / 1000;
    expect(taken).toBeLessThanOrEqual(5 + 37 * seconds);
    expect(taken).toBeGreaterThan(37 * seconds - 2);
  });

  test('a new rate counts from now on, and draining throws away what was saved', () => {
    const clock = manualClock();
    const bucket = new TokenBucket({ ratePerS: 100, burst: 100, clock });
    bucket.drain();
    bucket.ratePerS = 1;
    clock.advance(999);
    expect(bucket.tryTake()).toBe(false);
    clock.advance(1);
    expect(bucket.tryTake()).toBe(true);
  });

  test('may be overdrawn, and what was not used comes back', () => {
    const clock = manualClock();
    const bucket = new TokenBucket({ ratePerS: 10, burst: 10, clock });
    bucket.spend(25);
    expect(bucket.tryTake()).toBe(false);
    expect(bucket.delayMs()).toBeCloseTo(1600);
    bucket.spend(-20);
    expect(bucket.delayMs()).toBe(0);
    bucket.spend(-1000);
    expect(Array.from({ length: 11 }, () => bucket.tryTake()).filter(Boolean)).toHaveLength(10);
  });

  test('an infinite rate never runs out', () => {
    const bucket = new TokenBucket({ ratePerS: Infinity, burst: 1, clock: manualClock() });
    for (let turn = 0; turn < 100; turn += 1) expect(bucket.tryTake()).toBe(true);
  });
});
