import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { SeekfsError } from '../../../src/lib/base/errors.ts';

describe('systemClock', () => {
  test('sleeps for the time asked and monotonic time passes', async () => {
    const startMs = systemClock.monotonicMs();
    await systemClock.sleep(20);
    // Timers count whole milliseconds.
    expect(systemClock.monotonicMs() - startMs).toBeGreaterThanOrEqual(19);
  });

  test('an abort ends a sleep with its reason and leaves no timer behind', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    const abort = new AbortController();
    const sleep = systemClock.sleep(3_600_000, abort.signal);
    expect(timers()).toBe(before + 1);
    const reason = new SeekfsError('overloaded', 'x');
    abort.abort(reason);
    await expect(sleep).rejects.toBe(reason);
    expect(timers()).toBe(before);
    await expect(systemClock.sleep(3_600_000, abort.signal)).rejects.toBe(reason);
    expect(timers()).toBe(before);
  });

  test('tells the time of day in milliseconds', () => {
    expect(Math.abs(systemClock.nowMs() - new Date().getTime())).toBeLessThan(1000);
  });
});
