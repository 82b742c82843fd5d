// The work of `cat` and `readv`, which shells call in loops: shared by the commands and the lean way into them.
import { clipRange } from '../lib/base/byte-range.ts';
import type { Extent } from '../lib/read/reader.ts';
import { writeSlabs } from './output.ts';
import type { Session } from './session.ts';
import { byteOutput } from './stdout.ts';

export interface CatRequest {
  readonly ns: string;
  readonly path: string;
  readonly off: number;
  /** Default: the rest. */
  readonly len: number | undefined;
}

export async function cat({ seekfs, pin, signal, progress }: Session, request: CatRequest): Promise<void> {
  // First, so that a reader who goes away is seen whatever the work waits for.
  const write = byteOutput();
  const version = await pin(request.ns);
  const entry = await version.lookup(request.path);
  const range = clipRange(request, entry.sizeBytes);
  if (range.len === 0) return;
  const reader = await seekfs.reader();
  await writeSlabs(write, reader.stream(version, entry, range, { signal }), {
    signal,
    onProgress: (doneBytes) => progress.update({ doneBytes, totalBytes: range.len }),
  });
}

export async function readv(
  { seekfs, pin, signal, progress }: Session,
  request: { readonly ns: string; readonly extents: readonly Extent[] },
): Promise<void> {
  // First, so that a reader who goes away is seen whatever the work waits for.
  const write = byteOutput();
  const version = await pin(request.ns);
  const reader = await seekfs.reader();
  await writeSlabs(write, reader.readv(version, request.extents, { signal }), {
    signal,
    onProgress: (doneBytes) => progress.update({ doneBytes }),
  });
}
