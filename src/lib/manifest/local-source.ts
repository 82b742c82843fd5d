// One local file on its way into the store: read once to hash it, small ones kept in memory for the put, large ones
// read a second time with every granule compared to the first reading. A file that changes in between is an error.
import { crc32c, crc32cCombine } from '../base/crc32c.ts';
import { rangeEnd } from '../base/byte-range.ts';
import { SeekfsError, throwIfAborted, wrapSystemError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import type { Disk, DiskFile, DiskStat } from '../disk/disk.ts';
import type { PutSource } from '../objectstore/object-store.ts';
import { GRANULE_BYTES } from '../page/page.ts';
import { BlockFeed, FEED_BLOCK_BYTES } from './block-feed.ts';
import type { ChecksumPool } from './checksum-pool.ts';
import type { Checksums } from './checksums.ts';
import type { LocalFile } from './local-tree.ts';
import type { ReadBuffers } from './read-buffers.ts';

/** Up to here one read: the bytes stay in memory until they are in the store. */
export const ONE_READ_BYTES_MAX = 64 * MIB;

export interface HashedSource {
  readonly checksums: Checksums;
  readonly source: PutSource;
  /** The bytes are not needed any more: their memory goes back to where it came from. */
  readonly release: () => void;
}

function changed(file: LocalFile): SeekfsError {
  return new SeekfsError(
    'source_changed',
    `${file.sourcePath} changed while it was read; put it again when it is at rest`,
    {
      details: { path: file.sourcePath },
    },
  );
}

function checkSame(file: LocalFile, stat: DiskStat): void {
  const is = file.stat;
  if (stat.sizeBytes !== is.sizeBytes || stat.mtimeNs !== is.mtimeNs || stat.inode !== is.inode) throw changed(file);
}

async function withFile<T>(disk: Disk, file: LocalFile, use: (open: DiskFile) => Promise<T>): Promise<T> {
  try {
    const open = await disk.open(file.sourcePath, 'read');
    try {
      checkSame(file, await open.stat());
      const result = await use(open);
      checkSame(file, await open.stat());
      return result;
    } finally {
      await open.close();
    }
  } catch (error) {
    throw wrapSystemError(error, `read ${file.sourcePath}`);
  }
}

async function readFully(open: DiskFile, file: LocalFile, buffer: Uint8Array, position: number): Promise<void> {
  if ((await open.read([buffer], position)) !== buffer.length) throw changed(file);
}

interface HashDeps {
  readonly disk: Disk;
  readonly pool: ChecksumPool;
  /** For the bytes of files that are read once; undefined: each takes memory of its own. */
  readonly buffers?: ReadBuffers | undefined;
}

/**
 * Reads and hashes the file.
 * @throws source_changed, file_not_found, access_denied, interrupted
 */
export async function hashSource(
  deps: HashDeps,
  file: LocalFile,
  options: HashOptions & { readonly pageSizeBytes: number },
): Promise<HashedSource> {
  const { sizeBytes } = file.stat;
  const feed = new BlockFeed(deps.pool.hash({ sizeBytes, pageSizeBytes: options.pageSizeBytes }), sizeBytes);
  const lent = sizeBytes > ONE_READ_BYTES_MAX ? undefined : deps.buffers?.take(sizeBytes);
  let isDone = false;
  try {
    const bytes = await withFile(deps.disk, file, (open) =>
      sizeBytes > ONE_READ_BYTES_MAX
        ? hashBlocks(open, file, feed, options)
        : hashWhole({ open, file, block: lent ?? new SharedArrayBuffer(sizeBytes) }, feed, options),
    );
    const checksums = await feed.finish();
    isDone = true;
    const source: PutSource = bytes
      ? { kind: 'bytes', bytes }
      : secondReading(deps.disk, file, checksums, options.pageSizeBytes);
    return { checksums, source, release: () => lent && deps.buffers?.give(lent) };
  } finally {
    if (!isDone) feed.drop();
  }
}

interface HashOptions {
  readonly onBytes?: ((bytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

async function hashWhole(
  { open, file, block }: { open: DiskFile; file: LocalFile; block: SharedArrayBuffer },
  feed: BlockFeed,
  options: HashOptions,
): Promise<Uint8Array> {
  const { sizeBytes } = file.stat;
  await readFully(open, file, new Uint8Array(block, 0, sizeBytes), 0);
  options.onBytes?.(sizeBytes);
  await feed.hash(block, sizeBytes);
  return new Uint8Array(block, 0, sizeBytes);
}

async function hashBlocks(open: DiskFile, file: LocalFile, feed: BlockFeed, options: HashOptions): Promise<undefined> {
  for (let off = 0; off < file.stat.sizeBytes; off += FEED_BLOCK_BYTES) {
    throwIfAborted(options.signal);
    const block = await feed.take();
    const length = Math.min(FEED_BLOCK_BYTES, file.stat.sizeBytes - off);
    await readFully(open, file, new Uint8Array(block, 0, length), off);
    options.onBytes?.(length);
    feed.give(block, length);
  }
  return undefined;
}

async function readBlock(open: DiskFile, file: LocalFile, off: number, end: number): Promise<Buffer> {
  const block = Buffer.allocUnsafe(Math.max(0, Math.min(FEED_BLOCK_BYTES, end - off)));
  if (block.length > 0) await readFully(open, file, block, off);
  return block;
}

/** The file again, every granule (or smaller page) checked against its CRC of the first reading. */
function secondReading(disk: Disk, file: LocalFile, checksums: Checksums, pageSizeBytes: number): PutSource {
  const { sizeBytes } = file.stat;
  const unitBytes = Math.min(GRANULE_BYTES, pageSizeBytes);
  const crcs = checksums.granuleCrcs ?? Uint32Array.from(checksums.pages, (page) => page.crc32c!);
  return {
    kind: 'stream',
    sizeBytes,
    crc32cOf: ({ off, len }) => {
      const isWhole = (off + len) % unitBytes === 0 || off + len === sizeBytes;
      if (off % unitBytes > 0 || !isWhole) return undefined;
      let crc = 0;
      for (let at = off; at < off + len; at += unitBytes) {
        crc = crc32cCombine(crc, crcs[at / unitBytes]!, Math.min(unitBytes, sizeBytes - at));
      }
      return crc;
    },
    open: async function* (range) {
      const open = await disk.open(file.sourcePath, 'read').catch((error: unknown) => {
        throw wrapSystemError(error, `read ${file.sourcePath}`);
      });
      try {
        checkSame(file, await open.stat());
        // Engines ask for parts; the units at both ends are read whole to be compared.
        const start = Math.floor(range.off / unitBytes) * unitBytes;
        const end = Math.min(sizeBytes, Math.ceil(rangeEnd(range) / unitBytes) * unitBytes);
        // The next block is read while the store takes this one.
        let next = readBlock(open, file, start, end);
        for (let off = start; off < end; off += FEED_BLOCK_BYTES) {
          const block = await next;
          next = readBlock(open, file, off + FEED_BLOCK_BYTES, end);
          next.catch(() => undefined);
          for (let at = 0; at < block.length; at += unitBytes) {
            if (crc32c(block.subarray(at, at + unitBytes)) !== crcs[(off + at) / unitBytes]) throw changed(file);
          }
          yield block.subarray(Math.max(0, range.off - off), Math.min(block.length, rangeEnd(range) - off));
        }
        await next;
        checkSame(file, await open.stat());
      } finally {
        await open.close();
      }
    },
  };
}
