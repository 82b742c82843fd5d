// Reads the objects that a scan of the bucket found new or changed, several at a time, each pinned to the ETag of the
// listing, and makes entries of them. What is finished goes to a journal, so that an interrupted run reads it never again.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { eachAtOnce } from '../base/each-at-once.ts';
import { SeekfsError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { ObjectStore } from '../objectstore/object-store.ts';
import { isTarPath, type BucketScan, type EntryToRebind, type ObjectToRead } from './bucket-scan.ts';
import { ChecksumPool } from './checksum-pool.ts';
import { hashObjectRange } from './hash-object.ts';
import { newEntry } from './new-entry.ts';
import { ReadJournal } from './read-journal.ts';
import { TarMembers } from './tar-members.ts';
import { EntryList } from './entry-list.ts';
import type { FileEntry } from './types.ts';

const FILES_AT_ONCE = 8;

export interface ReadObjectsDeps {
  readonly store: ObjectStore;
  readonly log: Logger;
}

export interface ReadObjectsOptions {
  readonly ns: string;
  readonly pageSizeBytes: number;
  readonly resume?: boolean | undefined;
  readonly indexTar?: boolean | undefined;
  readonly journalPath?: string | undefined;
  readonly onProgress?: ((progress: ReadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ReadProgress {
  readonly filesTotal: number;
  readonly bytesTotal: number;
  readonly filesDone: number;
  readonly bytesDone: number;
}

export interface ReadCounts {
  readonly readFiles: number;
  readonly readBytes: number;
  /** Finished by an interrupted run before. */
  readonly resumedFiles: number;
}

export interface ReadOutcome {
  readonly entries: EntryList;
  readonly counts: ReadCounts;
  /** Still open: removed once the entries are published. */
  readonly journal: ReadJournal | undefined;
}

export async function readAll(
  deps: ReadObjectsDeps,
  options: ReadObjectsOptions,
  scan: BucketScan,
): Promise<ReadOutcome> {
  const pool = await ChecksumPool.open();
  let journal: ReadJournal | undefined;
  let isDone = false;
  try {
    journal = await openJournal(deps, options);
    const counts = { readFiles: 0, readBytes: 0, resumedFiles: 0 };
    const entries = new EntryList(options.ns);
    const members: FileEntry[] = [];
    const filesTotal = scan.toRead.length + scan.toRebind.length;
    const state = { filesTotal, bytesTotal: bytesOf(scan), filesDone: 0, bytesDone: 0 };
    const onBytes = (bytes: number): void => {
      state.bytesDone += bytes;
      options.onProgress?.({ ...state });
    };
    const readOne = async (item: ObjectToRead | EntryToRebind, signal: AbortSignal): Promise<void> => {
      if (options.indexTar && 'path' in item && isTarPath(item.path)) {
        const shard = await readShard(deps, pool, item, { options, onBytes, signal });
        entries.add(shard.entry);
        for (const member of shard.members) members.push(member);
        counts.readFiles += 1;
        counts.readBytes += item.object.sizeBytes;
        state.filesDone += 1;
        options.onProgress?.({ ...state });
        return;
      }
      const finished = 'entry' in item ? undefined : journal?.find(item.object);
      let entry: FileEntry;
      if (finished && 'path' in item && finished.path === item.path) {
        entry = finished;
        counts.resumedFiles += 1;
        onBytes(entry.sizeBytes);
      } else {
        entry =
          'entry' in item
            ? await rebindEntry(deps, pool, item, { options, onBytes, signal })
            : await readObject(deps, pool, item, { options, onBytes, signal });
        counts.readFiles += 1;
        counts.readBytes += entry.sizeBytes;
        await journal?.append(entry);
      }
      entries.add(entry);
      state.filesDone += 1;
      options.onProgress?.({ ...state });
    };
    await eachAtOnce([...scan.toRead, ...scan.toRebind], FILES_AT_ONCE, readOne, options.signal);
    // An object of its own wins over a member of the same path.
    const own = new Set(scan.toRead.map((item) => item.path));
    for (const member of members) if (!own.has(member.path)) entries.add(member);
    isDone = true;
    return { entries, counts, journal };
  } finally {
    await pool.close();
    if (!isDone) await journal?.close({ done: false });
  }
}

function bytesOf(scan: BucketScan): number {
  let bytes = 0;
  for (const { object } of scan.toRead) bytes += object.sizeBytes;
  for (const { entry } of scan.toRebind) bytes += entry.sizeBytes;
  return bytes;
}

async function openJournal(deps: ReadObjectsDeps, options: ReadObjectsOptions): Promise<ReadJournal | undefined> {
  if (options.journalPath === undefined) return undefined;
  const name = createHash('sha256').update(`${deps.store.url}\n${options.ns}`).digest('hex').slice(0, 32);
  try {
    return await ReadJournal.open(join(options.journalPath, `gen-${name}.journal`), {
      resume: options.resume ?? false,
      pageSizeBytes: options.pageSizeBytes,
    });
  } catch (error) {
    deps.log.log('warn', `${error instanceof Error ? error.message : String(error)}; this run cannot be resumed`);
    return undefined;
  }
}

interface Reading {
  readonly options: ReadObjectsOptions;
  readonly onBytes: (bytes: number) => void;
  readonly onChunk?: ((chunk: Uint8Array) => void) | undefined;
  readonly signal: AbortSignal;
}

async function readObject(
  deps: ReadObjectsDeps,
  pool: ChecksumPool,
  item: ObjectToRead,
  reading: Reading,
): Promise<FileEntry> {
  const { object, path } = item;
  const { pageSizeBytes } = reading.options;
  const checksums = await hashObjectRange(deps.store, pool, { ...object, off: 0, pageSizeBytes }, reading);
  return newEntry({ path, ...object, off: 0 }, checksums);
}

/** The shard itself, and its members as files beside it; of members of one name the last, as tar takes it out. */
async function readShard(
  deps: ReadObjectsDeps,
  pool: ChecksumPool,
  item: ObjectToRead,
  reading: Reading,
): Promise<{ entry: FileEntry; members: readonly FileEntry[] }> {
  const members = new TarMembers(reading.options, item);
  const entry = await readObject(deps, pool, item, { ...reading, onChunk: (chunk) => members.push(chunk) });
  const { entries, skipped } = members.finish();
  if (skipped > 0) {
    deps.log.log('warn', `${skipped} members of ${item.path} have names that no file of a manifest can have`);
  }
  return { entry, members: entries };
}

async function rebindEntry(
  deps: ReadObjectsDeps,
  pool: ChecksumPool,
  item: EntryToRebind,
  reading: Reading,
): Promise<FileEntry> {
  const { entry, object } = item;
  const { key, etag } = object;
  const { off } = entry.storage;
  const { pageSizeBytes } = reading.options;
  const range = { key, etag, off, sizeBytes: entry.sizeBytes, pageSizeBytes };
  const checksums = await hashObjectRange(deps.store, pool, range, reading);
  if (checksums.hash !== entry.hash) {
    throw new SeekfsError(
      'object_changed',
      `${key} has other bytes for ${entry.path} than were published: ${checksums.hash}, the manifest says ${entry.hash ?? 'nothing'}`,
      { details: { key, path: entry.path } },
    );
  }
  return { ...entry, storage: { ...entry.storage, etag } };
}
