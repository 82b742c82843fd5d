// A clock that moves only when the test says so.
import type { Clock } from '../../src/lib/base/clock.ts';
import { abortError } from '../../src/lib/base/errors.ts';

export interface ManualClock extends Clock {
  /** Moves both clocks on and wakes the sleepers whose time has come, in order. */
  advance(durationMs: number): void;
  /** Sets the clock of the day, as an administrator or NTP does: what is monotonic does not notice. */
  set(byMs: number): void;
  /** The machine sleeps: only the clock of the day and the uptime go on. */
  suspend(durationMs: number): void;
  /** How many wait in `sleep`. */
  readonly sleeping: number;
}

export function manualClock(startMs = 1_700_000_000_000): ManualClock {
  let elapsedMs = 0;
  let setMs = 0;
  let suspendedMs = 0;
  const sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>();
  return {
    nowMs: () => startMs + setMs + suspendedMs + elapsedMs,
    uptimeMs: () => suspendedMs + elapsedMs,
    suspend: (durationMs) => {
      suspendedMs += durationMs;
    },
    set: (byMs) => {
      setMs += byMs;
    },
    monotonicMs: () => elapsedMs,
    get sleeping() {
      return sleepers.size;
    },
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(abortError(signal));
          return;
        }
        const onAbort = (): void => {
          sleepers.delete(sleeper);
          reject(abortError(signal!));
        };
        const sleeper = {
          atMs: elapsedMs + delayMs,
          wake: () => {
            signal?.removeEventListener('abort', onAbort);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', onAbort, { once: true });
      }),
    advance: (durationMs) => {
      elapsedMs += durationMs;
      for (const sleeper of [...sleepers].sort((a, b) => a.atMs - b.atMs)) {
        if (sleeper.atMs > elapsedMs) break;
        sleepers.delete(sleeper);
        sleeper.wake();
      }
    },
  };
}
