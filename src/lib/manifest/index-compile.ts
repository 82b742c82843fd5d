// Compiles a manifest's index where it disturbs least: small ones in place, large ones in a worker thread. Run from
// TypeScript sources (tests), where no worker can be started, all in place, in slices between which others run.
import { Worker } from 'node:worker_threads';
import { abortError, SeekfsError, throwIfAborted } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import { buildIndex, type IndexedManifest } from './index-build.ts';
import type { IndexSpool } from './index-spool.ts';
import type { IndexAnswer, IndexTask } from './index-worker.ts';

const IN_PLACE_BYTES_MAX = MIB;

/** @throws manifest_invalid, disk_full, access_denied, interrupted */
export async function compileIndex(manifest: IndexedManifest, spool: IndexSpool, signal?: AbortSignal): Promise<void> {
  const isCompiled = import.meta.url.endsWith('.js');
  if (!isCompiled || spool.path === undefined || manifest.bytes.byteLength <= IN_PLACE_BYTES_MAX) {
    await buildIndex(manifest, spool, signal);
    return;
  }
  throwIfAborted(signal);
  const workerData: IndexTask = { ...manifest, spoolPath: spool.path };
  const worker = new Worker(new URL('./index-worker.js', import.meta.url), { workerData });
  const answer = await new Promise<IndexAnswer>((resolve, reject) => {
    const onAbort = (): void => {
      void worker.terminate();
      reject(abortError(signal!));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => {
      signal?.removeEventListener('abort', onAbort);
      reject(new SeekfsError('unexpected', 'the thread that compiles an index ended without an answer'));
    });
  });
  if (answer.kind === 'failed') throw new SeekfsError(answer.code, answer.message);
}
