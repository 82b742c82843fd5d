// What goes to stdout: bytes of files as verified slabs, lines, and JSON documents. Slabs are given back as soon as
// they are written; a reader that went away ends the work quietly.
import type { Writable } from 'node:stream';
import type { Slab } from '../lib/base/memory.ts';
import { abortError, systemErrorCode, wrapSystemError, type SeekfsError } from '../lib/base/errors.ts';
import { onAbort } from '../lib/base/on-abort.ts';
import { ClosedOutput } from './interrupt.ts';

/** Text that comes bit by bit is written in chunks of so much. */
export const TEXT_CHUNK_CHARS = 64 * 1024;

/** Slabs that are written with one system call; one write is on its way while the next is read. */
const BATCH_SLABS = 16;

/** Resolves when the bytes have left, or are sure to; their memory is free then. One call at a time. */
export type WriteBytes = (buffers: readonly Uint8Array[]) => Promise<void>;

/**
 * Writes and releases every slab. Memory held: two batches at most. An aborted signal ends the wait for a reader who
 * takes nothing; what is on its way then is released when it is written, or never, with the process.
 * @throws ClosedOutput when the reader of `out` is gone; disk_full and the like when it is a file that takes no more
 */
export async function writeSlabs(
  write: WriteBytes,
  slabs: AsyncIterable<Slab>,
  options: { readonly signal?: AbortSignal; readonly onProgress?: (doneBytes: number) => void } = {},
): Promise<void> {
  const { signal, onProgress } = options;
  let doneBytes = 0;
  let batch: Slab[] = [];
  let writing: Promise<void> = Promise.resolve();
  const flush = async (): Promise<void> => {
    const full = batch;
    batch = [];
    try {
      await writing;
    } catch (error) {
      for (const slab of full) slab.release();
      throw error;
    }
    writing = unlessAborted(writeBatch(write, full), signal);
    // A failure is seen by the next `await writing`; until then it must not count as unhandled.
    writing.catch(() => undefined);
  };
  try {
    for await (const slab of slabs) {
      batch.push(slab);
      doneBytes += slab.bytes.length;
      onProgress?.(doneBytes);
      if (batch.length === BATCH_SLABS) await flush();
    }
    await flush();
  } finally {
    for (const slab of batch) slab.release();
    await writing;
  }
}

async function writeBatch(write: WriteBytes, batch: readonly Slab[]): Promise<void> {
  if (batch.length === 0) return;
  try {
    await write(batch.map((slab) => slab.bytes));
  } catch (error) {
    throw outputError(error);
  } finally {
    for (const slab of batch) slab.release();
  }
}

/** Bytes into a stream, several buffers with one system call. */
export function streamWriter(out: Writable): WriteBytes {
  return (buffers) =>
    new Promise<void>((resolve, reject) => {
      out.cork();
      for (const [index, buffer] of buffers.entries()) {
        const isLast = index === buffers.length - 1;
        out.write(buffer, (error) => {
          if (error) reject(error);
          else if (isLast) resolve();
        });
      }
      out.uncork();
    });
}

/** What it means that stdout takes no more: nobody reads it (`head` has enough), or the bytes have no place. */
export function outputError(error: unknown): ClosedOutput | SeekfsError {
  const code = systemErrorCode(error);
  if (code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED') return new ClosedOutput();
  return wrapSystemError(error, 'write to stdout');
}

function unlessAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(abortError(signal));
    if (signal.aborted) giveUp();
    onAbort(signal, giveUp);
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}

/** Waits for back-pressure. @throws ClosedOutput */
export async function writeText(out: Writable, text: string): Promise<void> {
  if (text === '') return;
  await new Promise<void>((resolve, reject) => {
    out.write(text, (error) => (error ? reject(outputError(error)) : resolve()));
  });
}

/** Resolves when all that was written has left the process, or nobody is there to take it. */
export async function drained(out: Writable): Promise<void> {
  if (out.writableLength === 0 || out.destroyed) return;
  await new Promise<void>((resolve) => {
    out.write('', () => resolve());
  });
}

/** One JSON document `{...head, [name]: [items…]}`, written as the items come. @throws ClosedOutput */
export async function writeJsonList<Item>(
  out: Writable,
  list: { readonly head: object; readonly name: string; readonly items: AsyncIterable<Item> },
  toJson: (item: Item) => unknown,
): Promise<void> {
  // What an object of the head and an empty list begins with.
  let text = JSON.stringify({ ...list.head, [list.name]: [] }).slice(0, -2);
  let isFirst = true;
  for await (const item of list.items) {
    text += (isFirst ? '' : ',') + JSON.stringify(toJson(item));
    isFirst = false;
    if (text.length < TEXT_CHUNK_CHARS) continue;
    await writeText(out, text);
    text = '';
  }
  await writeText(out, `${text}]}\n`);
}
