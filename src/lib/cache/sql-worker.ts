// The thread in which checkpoint.ts has the SQLite database built: takes batches, answers each, gives the bytes at last.
import { parentPort } from 'node:worker_threads';
import { SqlCheckpoint, type SegmentBatch } from './sql-checkpoint.ts';

export type SqlRequest =
  { readonly kind: 'add'; readonly batch: SegmentBatch } | { readonly kind: 'finish'; readonly writtenAtMs: number };

/** `bytes` is empty but for the answer to `finish`. */
export interface SqlReply {
  readonly bytes: Uint8Array;
}

const port = parentPort!;
const checkpoint = await SqlCheckpoint.begin();
const NONE = new Uint8Array(0);

port.on('message', (request: SqlRequest) => {
  if (request.kind === 'add') {
    checkpoint.add(request.batch);
    port.postMessage({ bytes: NONE } satisfies SqlReply);
    return;
  }
  const bytes = checkpoint.finish(request.writtenAtMs);
  port.postMessage({ bytes } satisfies SqlReply, [bytes.buffer]);
  port.close();
});
