// Many items through a few hands: bounded concurrency over an iterable, with one failure stopping the rest.
import { throwIfAborted } from './errors.ts';
import { Semaphore } from './semaphore.ts';

/** Runs the items a few at a time; the first failure stops the rest and is thrown when all have ended. */
export async function eachAtOnce<T>(
  items: Iterable<T> | AsyncIterable<T>,
  atOnce: number,
  run: (item: T, signal: AbortSignal) => Promise<void>,
  outer: AbortSignal | undefined,
): Promise<void> {
  const stop = new AbortController();
  const signal = outer ? AbortSignal.any([outer, stop.signal]) : stop.signal;
  const permits = new Semaphore(atOnce);
  const running = new Set<Promise<void>>();
  try {
    for await (const item of items) {
      const release = await permits.acquire({ signal });
      throwIfAborted(signal);
      const task = run(item, signal)
        .catch((error: unknown) => stop.abort(error))
        .finally(() => {
          release();
          running.delete(task);
        });
      running.add(task);
    }
  } catch (error) {
    stop.abort(error);
  }
  await Promise.all(running);
  if (stop.signal.aborted) throw stop.signal.reason;
  throwIfAborted(outer);
}
