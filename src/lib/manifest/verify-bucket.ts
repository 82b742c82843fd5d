// The bucket against a version: is every object that it names there, of the size and with the ETag that it says, and,
// when asked for, with the bytes? Changes nothing.
import { eachAtOnce } from '../base/each-at-once.ts';
import { isSeekfsError } from '../base/errors.ts';
import { headIfThere } from '../objectstore/head-if-there.ts';
import type { ObjectHead, ObjectStore } from '../objectstore/object-store.ts';
import { PAGE_BYTES_MAX, PAGE_BYTES_MIN } from '../page/page.ts';
import { ChecksumPool } from './checksum-pool.ts';
import type { Checksums } from './checksums.ts';
import { hashObjectRange } from './hash-object.ts';
import { filesPrefix } from './key-layout.ts';
import type { FileEntry, PinnedVersion } from './types.ts';

const FILES_AT_ONCE = 8;

export interface BucketFinding {
  readonly kind: 'missing' | 'size' | 'etag' | 'content';
  readonly path: string;
  readonly key: string;
  readonly expected: string;
  readonly actual: string;
}

export interface VerifyProgress {
  readonly filesTotal: number;
  readonly bytesTotal: number;
  readonly filesDone: number;
  /** Read, in a deep check. */
  readonly bytesDone: number;
}

export interface VerifyOptions {
  /** Read every file again and compare its hash, or where there is none its pages. */
  readonly deep: boolean;
  readonly onFinding: (finding: BucketFinding) => void;
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

type Objects = Map<string, Pick<ObjectHead, 'sizeBytes' | 'etag'>>;

/** @throws what the store throws; what is wrong with the bucket are findings */
export async function verifyBucket(
  deps: { readonly store: ObjectStore },
  version: PinnedVersion,
  options: VerifyOptions,
): Promise<{ files: number; bytes: number; findings: number }> {
  const { store } = deps;
  const { deep, signal } = options;
  const listed = filesPrefix(version.ns);
  const objects: Objects = new Map();
  for await (const page of store.list({ prefix: listed, signal }))
    for (const object of page) objects.set(object.key, object);
  const pool = deep ? await ChecksumPool.open() : undefined;
  const state = { filesTotal: version.fileCount, bytesTotal: version.totalBytes, filesDone: 0, bytesDone: 0 };
  let findings = 0;
  const report = (entry: FileEntry, kind: BucketFinding['kind'], expected: string, actual: string): void => {
    findings += 1;
    options.onFinding({ kind, path: entry.path, key: entry.storage.key, expected, actual });
  };
  const checkOne = async (entry: FileEntry): Promise<void> => {
    const object = await objectOf(store, objects, entry, { listed, signal });
    const fault = findFault(entry, object);
    if (fault) report(entry, ...fault);
    else if (pool && object) {
      const content = await readContent({ store, pool }, entry, object, {
        onBytes: (bytes) => {
          state.bytesDone += bytes;
          options.onProgress?.({ ...state });
        },
        signal,
      });
      if (content) report(entry, ...content);
    }
    state.filesDone += 1;
    options.onProgress?.({ ...state });
  };
  try {
    await eachAtOnce(version.list(), FILES_AT_ONCE, checkOne, signal);
  } finally {
    await pool?.close();
  }
  return { files: state.filesDone, bytes: version.totalBytes, findings };
}

/** From the listing; keys elsewhere in the bucket are asked for one by one. */
async function objectOf(
  store: ObjectStore,
  objects: Objects,
  entry: FileEntry,
  where: { listed: string; signal: AbortSignal | undefined },
): Promise<Pick<ObjectHead, 'sizeBytes' | 'etag'> | undefined> {
  const { key } = entry.storage;
  return key.startsWith(where.listed) ? objects.get(key) : headIfThere(store, key, where.signal);
}

type Fault = [kind: BucketFinding['kind'], expected: string, actual: string];

function findFault(entry: FileEntry, object: Pick<ObjectHead, 'sizeBytes' | 'etag'> | undefined): Fault | undefined {
  if (!object) return ['missing', 'an object', 'none'];
  const { off, etag } = entry.storage;
  const endBytes = off + entry.sizeBytes;
  // A packed file is a part of its object, behind a header; any other is the whole of it.
  if (off === 0 ? object.sizeBytes !== endBytes : object.sizeBytes < endBytes) {
    return ['size', `${endBytes} bytes`, `${object.sizeBytes} bytes`];
  }
  if (etag !== undefined && object.etag !== etag) return ['etag', etag, object.etag];
  return undefined;
}

async function readContent(
  { store, pool }: { store: ObjectStore; pool: ChecksumPool },
  entry: FileEntry,
  object: Pick<ObjectHead, 'etag'>,
  reading: { onBytes: (bytes: number) => void; signal: AbortSignal | undefined },
): Promise<Fault | undefined> {
  const { key, off } = entry.storage;
  const pageSizeBytes = pageSizeOf(entry);
  let checksums: Checksums;
  try {
    const range = { key, etag: object.etag, off, sizeBytes: entry.sizeBytes, pageSizeBytes };
    checksums = await hashObjectRange(store, pool, range, reading);
  } catch (error) {
    if (isSeekfsError(error, 'object_changed')) return ['etag', object.etag, 'another one, while it was read'];
    if (isSeekfsError(error, 'object_not_found')) return ['missing', 'an object', 'none'];
    throw error;
  }
  if (entry.hash !== undefined && entry.hash !== checksums.hash) return ['content', entry.hash, checksums.hash];
  // Tables with pages of other sizes than ours are covered by the hash.
  if (checksums.pages.length !== entry.pages.length) return undefined;
  for (const [index, page] of entry.pages.entries()) {
    const actual = checksums.pages[index]!;
    if (page.crc32c !== undefined && page.len === actual.len && page.crc32c !== actual.crc32c) {
      return ['content', `CRC32C ${page.crc32c} of page ${page.pageId}`, String(actual.crc32c)];
    }
  }
  return undefined;
}

/** The size of the pages of a table of ours; of any other, one that is as good as another. */
function pageSizeOf(entry: FileEntry): number {
  const first = entry.pages[0]?.len ?? 0;
  const rounded = 2 ** Math.ceil(Math.log2(Math.max(1, first)));
  return Math.min(PAGE_BYTES_MAX, Math.max(PAGE_BYTES_MIN, rounded));
}
