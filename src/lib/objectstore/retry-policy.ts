// Sends again what may succeed the second time: full-jitter back-off by the error's `retryable`, never before the store's
// own Retry-After. Used by the retry decorator for whole requests and by multipart puts for single parts.
import { isSeekfsError, throwIfAborted } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';

/** However long a store asks to wait, it is asked again after this. */
const DELAY_MS_MAX = 20_000;

export interface RetryPolicy {
  /** Attempts in all, at least 1. */
  readonly attemptsMax: number;
  readonly initialBackoffMs: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Called before each attempt but the first. */
  readonly onRetry?: (() => void) | undefined;
}

/** Milliseconds before attempt `attempt` (2, 3, …): uniform below a doubling bound, at least what the store asked for. */
export function retryDelayMs(policy: RetryPolicy, attempt: number, retryAfterMs: number | undefined): number {
  const bound = Math.min(policy.initialBackoffMs * 2 ** (attempt - 2), DELAY_MS_MAX);
  return Math.max(policy.random.unit() * bound, Math.min(retryAfterMs ?? 0, DELAY_MS_MAX));
}

/**
 * Calls `work` with the attempt's number until it resolves, throws what no retry can mend, or the attempts are used up.
 * `progressed` says whether the failed attempt brought something: then the attempts count from the start again.
 * @throws the last error; interrupted
 */
export async function withRetries<T>(
  policy: RetryPolicy,
  options: { signal?: AbortSignal | undefined; progressed?: (() => boolean) | undefined },
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work(attempt);
    } catch (error) {
      throwIfAborted(options.signal);
      if (options.progressed?.()) attempt = 1;
      if (!isSeekfsError(error) || !error.retryable || attempt >= policy.attemptsMax) throw error;
      await policy.clock.sleep(retryDelayMs(policy, attempt + 1, error.retryAfterMs), options.signal);
      policy.onRetry?.();
    }
  }
}
