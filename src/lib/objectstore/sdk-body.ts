// Hands the body of an SDK answer to a sink, chunk by chunk, and gives up on one that stands still.
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { SeekfsError, abortError } from '../base/errors.ts';
import { onAbort } from '../base/on-abort.ts';
import { networkError, badAnswer, type S3Context } from './s3-errors.ts';

/**
 * Resolves when the body has ended. The time-out runs while the store is waited for, not while the sink works.
 * @throws store_unavailable (broken off, stalled), interrupted; whatever `write` throws
 */
export async function deliver(
  body: Readable,
  options: { stallMs: number; context: S3Context; signal: AbortSignal | undefined },
  write: (chunk: Uint8Array) => void | Promise<void>,
): Promise<void> {
  const { stallMs, context, signal } = options;
  const stalled = badAnswer(`sent nothing for ${stallMs} ms in the middle of a body`, context);
  // The client's own time-out on an idle socket would take a sink that holds the body back for a store that stands still.
  if ('setTimeout' in body) (body as IncomingMessage).setTimeout(0);
  let sinkWorks = false;
  const timer = setTimeout(() => {
    if (sinkWorks) timer.refresh();
    else body.destroy(stalled);
  }, stallMs);
  const cancel = (): void => void body.destroy(abortError(signal!));
  if (signal) onAbort(signal, cancel);
  const reading = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  const next = async (): Promise<IteratorResult<Uint8Array>> => {
    try {
      return await reading.next();
    } catch (error) {
      if (signal?.aborted) throw abortError(signal);
      throw error instanceof SeekfsError ? error : networkError(error, context);
    }
  };
  try {
    for (let result = await next(); !result.done; result = await next()) {
      sinkWorks = true;
      await write(result.value);
      sinkWorks = false;
      timer.refresh();
      if (signal?.aborted) throw abortError(signal);
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
  }
}
