// The thread that compiles the index of one large manifest into a file, off the event loop; then it ends.
import { parentPort, workerData } from 'node:worker_threads';
import { isSeekfsError, type ErrorCode } from '../base/errors.ts';
import { buildIndex, type IndexedManifest } from './index-build.ts';
import { FileSpool } from './index-spool.ts';

export interface IndexTask extends IndexedManifest {
  readonly spoolPath: string;
}

/** An error does not cross threads with its class. */
export type IndexAnswer =
  { readonly kind: 'done' } | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };

const task = workerData as IndexTask;
const spool = await FileSpool.reopen(task.spoolPath);
let answer: IndexAnswer = { kind: 'done' };
try {
  await buildIndex(task, spool);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  answer = { kind: 'failed', code: isSeekfsError(error) ? error.code : 'unexpected', message };
} finally {
  await spool.drop();
}
parentPort!.postMessage(answer, []);
