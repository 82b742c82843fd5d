// A version read through its compiled index: a lookup reads one block, a listing the blocks of its prefix. Every block
// is checked before it is used.
import type { FileHandle } from 'node:fs/promises';
import { crc32c } from '../base/crc32c.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
import { pathNotFound } from './find-file.ts';
import {
  BlockCursor,
  FOOTER_BYTES,
  indexDamaged,
  parseDirectory,
  parseFooter,
  parseIndexHeader,
  type IndexBlock,
  type IndexFooter,
} from './index-format.ts';
import type { FileEntry, ManifestHeader, PinnedVersion } from './types.ts';

const BLOCKS_KEPT = 32;
/** A server is asked for the same files again and again: without these it decoded an entry, page table and all, a read. */
const ENTRIES_KEPT = 64;

/** Where the bytes of an index are: a file, or memory. */
export interface IndexSource {
  readonly sizeBytes: number;
  /** Exactly these bytes, or throws. */
  read(off: number, len: number): Promise<Buffer>;
  close(): Promise<void>;
}

export function memorySource(bytes: Buffer): IndexSource {
  return {
    sizeBytes: bytes.length,
    read: (off, len) => Promise.resolve(bytes.subarray(off, off + len)),
    close: () => Promise.resolve(),
  };
}

/** Takes the file over. */
export async function fileSource(file: FileHandle): Promise<IndexSource> {
  const { size } = await file.stat();
  return {
    sizeBytes: size,
    read: async (off, len) => {
      const bytes = Buffer.allocUnsafe(len);
      const { bytesRead } = await file.read(bytes, 0, len, off);
      if (bytesRead !== len) throw indexDamaged('it ends too early');
      return bytes;
    },
    close: () => file.close(),
  };
}

export class IndexVersion implements PinnedVersion {
  readonly ns: string;
  readonly digest: string;
  readonly header: ManifestHeader;
  readonly #source: IndexSource;
  readonly #footer: IndexFooter;
  readonly #blocks: readonly IndexBlock[];
  /** The blocks that were read last, by number. */
  readonly #kept = new Map<number, Promise<Buffer>>();
  /** The entries that were looked up last, by path. */
  readonly #entries = new Map<string, FileEntry>();

  private constructor(parts: {
    identity: { ns: string; digest: string };
    source: IndexSource;
    footer: IndexFooter;
    header: ManifestHeader;
    blocks: readonly IndexBlock[];
  }) {
    this.ns = parts.identity.ns;
    this.digest = parts.identity.digest;
    this.header = parts.header;
    this.#source = parts.source;
    this.#footer = parts.footer;
    this.#blocks = parts.blocks;
  }

  /**
   * Takes the source over, which is closed with the version, or when this throws. `loadCrc32c` must have resolved.
   * @throws cache_corrupt
   */
  static async open(identity: { ns: string; digest: string }, source: IndexSource): Promise<IndexVersion> {
    try {
      const { sizeBytes } = source;
      if (sizeBytes < FOOTER_BYTES) throw indexDamaged('it is too short');
      const footer = parseFooter(await source.read(sizeBytes - FOOTER_BYTES, FOOTER_BYTES), sizeBytes);
      const tail = await source.read(footer.directoryOff, footer.directoryBytes + footer.headerBytes);
      const blocks = parseDirectory(tail.subarray(0, footer.directoryBytes), footer);
      const header = parseIndexHeader(tail.subarray(footer.directoryBytes), footer);
      return new IndexVersion({ identity, source, footer, header, blocks });
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  get version(): number {
    return this.header.version;
  }

  get fileCount(): number {
    return this.#footer.fileCount;
  }

  get totalBytes(): number {
    return this.#footer.totalBytes;
  }

  lookup(path: string): MaybePromise<FileEntry> {
    return this.#entries.get(path) ?? this.#find(path);
  }

  async #find(path: string): Promise<FileEntry> {
    const wanted = Buffer.from(path);
    const number = this.#blockOf(wanted);
    if (number >= 0) {
      const cursor = new BlockCursor(this.ns, await this.#block(number));
      while (cursor.next()) {
        const order = Buffer.compare(cursor.path, wanted);
        if (order === 0) return this.#keep(cursor.entry());
        if (order > 0) break;
      }
    }
    throw pathNotFound(this, path);
  }

  #keep(entry: FileEntry): FileEntry {
    // Without an ETag in the manifest each open file pins the one that it meets, so an entry must not outlive that.
    if (entry.storage.etag === undefined) return entry;
    if (this.#entries.size >= ENTRIES_KEPT) this.#entries.delete(this.#entries.keys().next().value!);
    this.#entries.set(entry.path, entry);
    return entry;
  }

  async *list(
    options: { prefix?: string | undefined; startAfter?: string | undefined } = {},
  ): AsyncIterable<FileEntry> {
    const prefix = Buffer.from(options.prefix ?? '');
    const after = options.startAfter === undefined ? undefined : Buffer.from(options.startAfter);
    const start = after && Buffer.compare(after, prefix) > 0 ? after : prefix;
    for (let number = Math.max(0, this.#blockOf(start)); number < this.#blocks.length; number += 1) {
      const cursor = new BlockCursor(this.ns, await this.#block(number));
      while (cursor.next()) {
        const { path } = cursor;
        if (Buffer.compare(path, start) < 0 || (after && Buffer.compare(path, after) <= 0)) continue;
        if (!path.subarray(0, prefix.length).equals(prefix)) return;
        yield cursor.entry();
      }
    }
  }

  /** The number of the last block that begins at or before the path; -1 where none does. */
  #blockOf(path: Buffer): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Buffer.compare(this.#blocks[middle]!.firstPath, path) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #block(number: number): Promise<Buffer> {
    let block = this.#kept.get(number);
    if (block) {
      this.#kept.delete(number);
    } else {
      block = this.#readBlock(this.#blocks[number]!);
      block.catch(() => this.#kept.delete(number));
      if (this.#kept.size >= BLOCKS_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    }
    this.#kept.set(number, block);
    return block;
  }

  async #readBlock({ off, len, crc }: IndexBlock): Promise<Buffer> {
    const bytes = await this.#source.read(off, len);
    if (crc32c(bytes) !== crc) throw indexDamaged('a block does not have its CRC');
    return bytes;
  }

  async close(): Promise<void> {
    this.#kept.clear();
    this.#entries.clear();
    await this.#source.close();
  }
}
