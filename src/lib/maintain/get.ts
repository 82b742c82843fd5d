// Files of a version to local files: verified as every read is, resumable, and each file appears whole or not at all.
// A file is written beside its place under a hidden name and renamed; what an interrupted run left there is checked
// page by page against the manifest and kept as far as it is right.
import { constants } from 'node:fs';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { loadCrc32c } from '../base/crc32c.ts';
import { makeDirectory } from '../disk/make-directory.ts';
import { eachAtOnce } from '../base/each-at-once.ts';
import { wrapSystemError } from '../base/errors.ts';
import type { Slab } from '../base/memory.ts';
import type { FileEntry, PinnedVersion } from '../manifest/types.ts';
import type { Reader } from '../read/reader.ts';
import { getTogether, togetherInObject } from './get-packed.ts';
import { isPresent, partialPath, putInPlace, rightBytes, writeFully, type Download } from './local-file.ts';

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
const WRITE_SLABS = 16;

/** @throws as Reader.stream; access_denied, disk_full, file_not_found for the local side; interrupted */
export async function getFiles(request: {
  readonly reader: Reader;
  readonly version: PinnedVersion;
  /** In any order; those that lie in one object are fetched together. */
  readonly downloads: readonly Download[];
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
  const getGroup = async (group: readonly Download[], signal: AbortSignal): Promise<void> => {
    const context = { ...request, signal };
    const outcomes =
      group.length === 1 ? [await getFile(context, group[0]!, advance)] : await getTogether(context, group, advance);
    for (const [index, { isPresent, resumedBytes }] of outcomes.entries()) {
      const { sizeBytes } = group[index]!.entry;
      report.files += 1;
      report.bytes += sizeBytes;
      report.resumedBytes += resumedBytes;
      if (!isPresent) continue;
      report.presentFiles += 1;
      report.presentBytes += sizeBytes;
    }
    advance(0);
  };
  await eachAtOnce(togetherInObject(request.downloads), FILES_AT_ONCE, getGroup, request.signal);
  return report;
}

export interface GetContext {
  readonly reader: Reader;
  readonly version: PinnedVersion;
  readonly signal: AbortSignal;
}

export interface GetOutcome {
  readonly isPresent: boolean;
  readonly resumedBytes: number;
}

async function getFile(
  context: GetContext,
  { entry, file }: Download,
  advance: (bytes: number) => void,
): Promise<GetOutcome> {
  try {
    if (await isPresent(entry, file, context.signal)) {
      advance(entry.sizeBytes);
      return { isPresent: true, resumedBytes: 0 };
    }
    await makeDirectory(dirname(file));
    const partial = partialPath(entry, file);
    const resumedBytes = await writePartial(context, entry, partial, advance);
    await putInPlace({ entry, file });
    return { isPresent: false, resumedBytes };
  } catch (error) {
    throw wrapSystemError(error, `write ${file}`);
  }
}

/** @returns how many of its bytes were there already */
async function writePartial(
  context: GetContext,
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

async function fill(
  { reader, version, signal }: GetContext,
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
      for (const { bytes } of full) {
        await writeFully(handle, bytes, position);
        position += bytes.length;
      }
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
