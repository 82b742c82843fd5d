// The work of `cat` and `readv`, which shells call in loops: shared by the commands and the lean way into them.
import { clipRange } from '../lib/base/byte-range.ts';
import { MIB } from '../lib/base/units.ts';
import type { Extent, Reader } from '../lib/read/reader.ts';
import { writeSlabs } from './output.ts';
import type { Session } from './session.ts';
import { byteOutput } from './stdout.ts';
import type { Lifetime } from './work.ts';

/** From here on a `cat` of what is cached, too, runs long enough. */
const TUNED_BYTES_MIN = 32 * MIB;

export const CAT_LIFETIME: Lifetime = { oneShot: true, readsOnce: true, readsOneFile: true };

export interface CatRequest {
  readonly ns: string;
  readonly path: string;
  readonly off: number;
  /** Default: the rest. */
  readonly len: number | undefined;
}

/** Only where it pays: Node takes 2 ms to load what does it. */
async function tune(): Promise<void> {
  const { tuneForShortRun } = await import('./short-run.ts');
  tuneForShortRun();
}

/** The reader, whose cache is opened while HEAD and the manifest are on their way. A failure is heard where it is awaited. */
function openedMeanwhile(seekfs: Session['seekfs']): Promise<Reader> {
  const opening = seekfs.reader();
  opening.catch(() => undefined);
  return opening;
}

export async function cat({ config, seekfs, pin, signal, progress }: Session, request: CatRequest): Promise<void> {
  // First, so that a reader who goes away is seen whatever the work waits for.
  const write = byteOutput();
  // Before the engine compiles its parser.
  if (config.store.kind === 's3') await tune();
  const opening = openedMeanwhile(seekfs);
  const version = await pin(request.ns);
  const entry = await version.lookup(request.path);
  const range = clipRange(request, entry.sizeBytes);
  if (range.len === 0) return;
  if (range.len >= TUNED_BYTES_MIN) await tune();
  const reader = await opening;
  await writeSlabs(write, reader.stream(version, entry, range, { signal }), {
    signal,
    onProgress: (doneBytes) => progress.update({ doneBytes, totalBytes: range.len }),
  });
}

export async function readv(
  { config, seekfs, pin, signal, progress }: Session,
  request: { readonly ns: string; readonly extents: readonly Extent[] },
): Promise<void> {
  // First, so that a reader who goes away is seen whatever the work waits for.
  const write = byteOutput();
  if (config.store.kind === 's3') await tune();
  const opening = openedMeanwhile(seekfs);
  const version = await pin(request.ns);
  const reader = await opening;
  await writeSlabs(write, reader.readv(version, request.extents, { signal }), {
    signal,
    onProgress: (doneBytes) => progress.update({ doneBytes }),
  });
}
