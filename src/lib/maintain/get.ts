// Files of a version to local files: verified as every read is, resumable, and each file appears whole or not at all.
// A file is written beside its place under a hidden name and renamed; what an interrupted run left there is checked
// page by page against the manifest and kept as far as it is right.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename, stat, unlink, utimes, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { crc32c, loadCrc32c } from '../base/crc32c.ts';
import { makeDirectory } from '../disk/make-directory.ts';
import { eachAtOnce } from '../base/each-at-once.ts';
import { throwIfAborted, wrapSystemError } from '../base/errors.ts';
import type { Slab } from '../base/memory.ts';
import { MIB } from '../base/units.ts';
import type { FileEntry, PinnedVersion } from '../manifest/types.ts';
import type { Reader } from '../read/reader.ts';

export interface Download {
  readonly entry: FileEntry;
  /** Local path; its directory is made. */
  readonly file: string;
}

export interface GetProgress {
  /** Bytes in place, those included that were there before. */
  readonly doneBytes: number;
  readonly doneFiles: number;
}

export interface GetReport {
  readonly files: number;
  readonly bytes: number;
  /** Of these, files that were there already, with the right bytes. */
  readonly presentFiles: number;
  readonly presentBytes: number;
  /** Bytes of partial files of an earlier run that were right and kept. */
  readonly resumedBytes: number;
}

const FILES_AT_ONCE = 8;
const CHECK_CHUNK_BYTES = MIB;
const WRITE_SLABS = 16;

/** @throws as Reader.stream; access_denied, disk_full, file_not_found for the local side; interrupted */
export async function getFiles(request: {
  readonly reader: Reader;
  readonly version: PinnedVersion;
  readonly downloads: AsyncIterable<Download> | Iterable<Download>;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: GetProgress) => void) | undefined;
}): Promise<GetReport> {
  await loadCrc32c();
  const report = { files: 0, bytes: 0, presentFiles: 0, presentBytes: 0, resumedBytes: 0 };
  let doneBytes = 0;
  const advance = (bytes: number): void => {
    doneBytes += bytes;
    request.onProgress?.({ doneBytes, doneFiles: report.files });
  };
  const getOne = async (download: Download, signal: AbortSignal): Promise<void> => {
    const { sizeBytes } = download.entry;
    const outcome = await getFile({ ...request, signal }, download, advance);
    report.files += 1;
    report.bytes += sizeBytes;
    report.resumedBytes += outcome.resumedBytes;
    if (outcome.isPresent) {
      report.presentFiles += 1;
      report.presentBytes += sizeBytes;
    }
    advance(0);
  };
  await eachAtOnce(request.downloads, FILES_AT_ONCE, getOne, request.signal);
  return report;
}

interface Context {
  readonly reader: Reader;
  readonly version: PinnedVersion;
  readonly signal: AbortSignal;
}

async function getFile(
  context: Context,
  { entry, file }: Download,
  advance: (bytes: number) => void,
): Promise<{ isPresent: boolean; resumedBytes: number }> {
  try {
    if (await isPresent(entry, file, context.signal)) {
      advance(entry.sizeBytes);
      return { isPresent: true, resumedBytes: 0 };
    }
    await makeDirectory(dirname(file));
    const partial = partialPath(entry, file);
    const resumedBytes = await writePartial(context, entry, partial, advance);
    // A hundredth more, because a double of seconds is often a little less than the milliseconds that it came from.
    if (entry.modifiedAtMs !== undefined) await utimes(partial, new Date(), (entry.modifiedAtMs + 0.01) / 1000);
    await rename(partial, file);
    return { isPresent: false, resumedBytes };
  } catch (error) {
    throw wrapSystemError(error, `write ${file}`);
  }
}

/** @returns how many of its bytes were there already */
async function writePartial(
  context: Context,
  entry: FileEntry,
  partial: string,
  advance: (bytes: number) => void,
): Promise<number> {
  const handle = await open(partial, constants.O_RDWR | constants.O_CREAT, 0o666);
  try {
    const resumedBytes = await rightBytes(handle, entry, context.signal);
    await handle.truncate(resumedBytes);
    advance(resumedBytes);
    await fill(context, handle, { entry, from: resumedBytes }, advance);
    await handle.datasync();
    return resumedBytes;
  } catch (error) {
    // Nothing in it that the next run could go on from.
    if ((await handle.stat()).size === 0) await unlink(partial).catch(() => undefined);
    throw error;
  } finally {
    await handle.close();
  }
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

async function isPresent(entry: FileEntry, file: string, signal: AbortSignal): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  if (!found?.isFile() || found.size !== entry.sizeBytes) return false;
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
async function rightBytes(handle: FileHandle, entry: FileEntry, signal: AbortSignal): Promise<number> {
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

async function fill(
  { reader, version, signal }: Context,
  handle: FileHandle,
  { entry, from }: { entry: FileEntry; from: number },
  advance: (bytes: number) => void,
): Promise<void> {
  if (from >= entry.sizeBytes) return;
  let batch: Slab[] = [];
  let position = from;
  const flush = async (): Promise<void> => {
    const full = batch;
    batch = [];
    try {
      position += await writeAll(handle, full, position);
    } finally {
      for (const slab of full) slab.release();
    }
  };
  try {
    for await (const slab of reader.stream(version, entry, { off: from, len: entry.sizeBytes - from }, { signal })) {
      batch.push(slab);
      advance(slab.bytes.length);
      if (batch.length === WRITE_SLABS) await flush();
    }
    await flush();
  } finally {
    for (const slab of batch) slab.release();
  }
}

async function writeAll(handle: FileHandle, slabs: readonly Slab[], position: number): Promise<number> {
  let written = 0;
  for (const { bytes } of slabs) {
    // A short write happens where the disk is nearly full: the next call says ENOSPC.
    for (let off = 0; off < bytes.length;) {
      const { bytesWritten } = await handle.write(bytes, off, bytes.length - off, position + written);
      off += bytesWritten;
      written += bytesWritten;
    }
  }
  return written;
}
