// Time as an injected seam: tests drive a manual clock, nothing below reads the wall clock by itself.
import { uptime } from 'node:os';
import { abortError } from './errors.ts';
import { onAbort } from './on-abort.ts';

export interface Clock {
  /** Milliseconds since the epoch, for stamps that people and other machines read. */
  nowMs(): number;
  /** Milliseconds that never go back, for durations and deadlines. */
  monotonicMs(): number;
  /** As `monotonicMs`, also while the machine sleeps, and no finer than it takes to notice that. */
  uptimeMs(): number;
  /** Resolves after `delayMs`; rejects with the signal's error when it is aborted first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  uptimeMs: () => uptime() * 1000,
  sleep: (delayMs, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortError(signal));
        return;
      }
      const cancel = (): void => {
        clearTimeout(timer);
        reject(abortError(signal!));
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', cancel);
        resolve();
      }, delayMs);
      if (signal) onAbort(signal, cancel);
    }),
};
