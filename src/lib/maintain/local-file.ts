// A local file on its way from the store: its name while it is unfinished, what of it is right already, and putting it
// in its place. For the ways in which `get` writes files; knows no reader.
import { createHash } from 'node:crypto';
import { open, rename, stat, utimes, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { crc32c } from '../base/crc32c.ts';
import { SeekfsError, throwIfAborted } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import type { FileEntry } from '../manifest/types.ts';

const CHECK_CHUNK_BYTES = MIB;

export interface Download {
  readonly entry: FileEntry;
  /** Local path; its directory is made. */
  readonly file: string;
}

/** Hidden, in the same directory, and its own for each content, so that versions never mix. */
export function partialPath(entry: FileEntry, file: string): string {
  const identity = createHash('sha256')
    .update(entry.hash ?? `${entry.storage.key}\n${entry.storage.etag}`)
    .digest('hex');
  // 255 bytes is what file systems allow a name; a long one is told apart by the digest alone.
  const name = Buffer.byteLength(basename(file)) > 200 ? '' : `${basename(file)}.`;
  return join(dirname(file), `.${name}${identity.slice(0, 16)}.seekfs-part`);
}

/**
 * Is the whole file there, by its checksums?
 * @throws usage where the place is taken by what must not be replaced: a directory, a device, a pipe, or a link to one
 */
export async function isPresent(entry: FileEntry, file: string, signal: AbortSignal): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  if (found && !found.isFile()) {
    const kind = found.isDirectory() ? 'a directory' : 'no regular file';
    throw new SeekfsError('usage', `cannot write ${file}: it is ${kind}; remove it, or take another destination`);
  }
  if (found?.size !== entry.sizeBytes) return false;
  const handle = await open(file, 'r').catch(() => undefined);
  if (!handle) return false;
  try {
    return (await rightBytes(handle, entry, signal)) === entry.sizeBytes && (entry.sizeBytes === 0 || isChecked(entry));
  } finally {
    await handle.close();
  }
}

function isChecked(entry: FileEntry): boolean {
  return entry.pages.every((page) => page.crc32c !== undefined);
}

/** Length of the pages from the file's begin that are there and match the manifest; 0 where it has no checksums. */
export async function rightBytes(handle: FileHandle, entry: FileEntry, signal: AbortSignal): Promise<number> {
  const { size } = await handle.stat();
  let right = 0;
  const chunk = Buffer.allocUnsafe(size === 0 ? 0 : CHECK_CHUNK_BYTES);
  for (const page of entry.pages) {
    if (page.crc32c === undefined || page.off + page.len > size) break;
    throwIfAborted(signal);
    let crc = 0;
    for (let off = 0; off < page.len;) {
      const { bytesRead } = await handle.read(chunk, 0, Math.min(chunk.length, page.len - off), page.off + off);
      if (bytesRead === 0) return right;
      crc = crc32c(chunk.subarray(0, bytesRead), crc);
      off += bytesRead;
    }
    if (crc !== page.crc32c) break;
    right = page.off + page.len;
  }
  return right;
}

/** A short write happens where the disk is nearly full: the next call says ENOSPC. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let off = 0; off < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, off, bytes.length - off, position + off);
    off += bytesWritten;
  }
}

/** Gives the finished file its time and its name. */
export async function putInPlace({ entry, file }: Download): Promise<void> {
  const partial = partialPath(entry, file);
  // A hundredth more, because a double of seconds is often a little less than the milliseconds that it came from.
  if (entry.modifiedAtMs !== undefined) await utimes(partial, new Date(), (entry.modifiedAtMs + 0.01) / 1000);
  await rename(partial, file);
}
