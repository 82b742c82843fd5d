// Packing: many small local files into one tar shard, content-addressed like any file, with an entry for each that says
// where in the shard its bytes are. The same files in the same order give the same shard.
import { SeekfsError, throwIfAborted } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import { modifiedAtMs, type Disk } from '../disk/disk.ts';
import type { ObjectStore } from '../objectstore/object-store.ts';
import type { ChecksumPool } from './checksum-pool.ts';
import { putContent, type ContentObject } from './content-object.ts';
import { digestOf, hexOf } from './digest.ts';
import { shardKey } from './key-layout.ts';
import { hashSource } from './local-source.ts';
import type { LocalFile } from './local-tree.ts';
import { newEntry } from './new-entry.ts';
import { encodeTarHeader, paddingOf, TAR_END } from './tar-format.ts';
import type { FileEntry } from './types.ts';

const PACK_BELOW_BYTES_DEFAULT = 256 * 1024;
/** Beyond, a file gains nothing from company, and a shard is held in memory. */
const PACK_BELOW_BYTES_MAX = 16 * MIB;
const SHARD_BYTES_DEFAULT = 64 * MIB;
const READS_AT_ONCE = 8;

export interface PackOptions {
  /** Smaller files are packed. Default 256 KiB. */
  readonly belowBytes?: number | undefined;
  /** A shard is closed when it has so many. Default 64 MiB. */
  readonly shardBytes?: number | undefined;
}

export interface PackedShard {
  readonly object: ContentObject;
  readonly sizeBytes: number;
  readonly entries: readonly FileEntry[];
}

export interface PackLimits {
  readonly belowBytes: number;
  readonly shardBytes: number;
}

/** @throws usage */
export function checkPackOptions(options: PackOptions): PackLimits {
  const belowBytes = options.belowBytes ?? PACK_BELOW_BYTES_DEFAULT;
  const shardBytes = options.shardBytes ?? SHARD_BYTES_DEFAULT;
  if (!(belowBytes >= 1 && belowBytes <= PACK_BELOW_BYTES_MAX)) {
    throw new SeekfsError('usage', `files below ${belowBytes} bytes cannot be packed; it must be 1 byte to 16 MiB`);
  }
  if (!(shardBytes >= belowBytes && shardBytes <= SHARD_BYTES_DEFAULT)) {
    throw new SeekfsError('usage', `a shard of ${shardBytes} bytes is too small for one file, or larger than 64 MiB`);
  }
  return { belowBytes, shardBytes };
}

/** What a file takes in a shard. */
export function packedBytes(file: LocalFile): number {
  const { sizeBytes } = file.stat;
  return headerOf(file).length + sizeBytes + paddingOf(sizeBytes);
}

function headerOf(file: LocalFile): Buffer {
  const { path, stat } = file;
  return encodeTarHeader({ path, sizeBytes: stat.sizeBytes, mtimeS: Number(stat.mtimeNs / 1_000_000_000n) });
}

/** Packs the files, in their order, and stores the shard. @throws as hashSource and putContent */
export async function packShard(
  deps: { readonly disk: Disk; readonly store: ObjectStore; readonly pool: ChecksumPool },
  files: readonly LocalFile[],
  options: {
    readonly ns: string;
    readonly pageSizeBytes: number;
    readonly onProgress: (bytes: number) => void;
    readonly signal: AbortSignal;
  },
): Promise<PackedShard> {
  const { ns, pageSizeBytes, signal } = options;
  const parts: Buffer[] = [];
  const drafts: FileEntry[] = [];
  let off = 0;
  for (let start = 0; start < files.length; start += READS_AT_ONCE) {
    throwIfAborted(signal);
    const batch = files.slice(start, start + READS_AT_ONCE);
    const hashed = await Promise.all(batch.map((file) => hashSource(deps, file, { pageSizeBytes, signal })));
    for (const [index, { checksums, source }] of hashed.entries()) {
      const file = batch[index]!;
      if (source.kind !== 'bytes') throw new RangeError('a packed file is held in memory');
      const header = headerOf(file);
      const { path, stat } = file;
      // Key and ETag are known once the shard is whole.
      const place = { key: '', etag: undefined, off: off + header.length };
      drafts.push(newEntry({ path, modifiedAtMs: modifiedAtMs(stat), ...place }, checksums));
      parts.push(header, Buffer.from(source.bytes.buffer), Buffer.alloc(paddingOf(stat.sizeBytes)));
      off += header.length + stat.sizeBytes + paddingOf(stat.sizeBytes);
    }
  }
  const bytes = Buffer.concat([...parts, TAR_END]);
  const key = shardKey(ns, hexOf(await digestOf(bytes)));
  const object = await putContent(deps.store, {
    key,
    source: { kind: 'bytes', bytes },
    headFirst: true,
    onProgress: options.onProgress,
    signal,
  });
  const entries = drafts.map((entry) => ({ ...entry, storage: { ...entry.storage, key, etag: object.etag } }));
  return { object, sizeBytes: bytes.length, entries };
}
