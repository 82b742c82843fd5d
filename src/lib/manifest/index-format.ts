// The compiled index of one manifest version, as a file: sorted blocks of records, a directory of the blocks, the
// manifest's header, a footer. Immutable; looked up by reading the footer, the directory and one block.
//
//   "SKFSIDX1"
//   blocks       records in UTF-8 byte order of paths, at least 32 KiB a block but for the last; each: varint bytes
//                shared with the path before · varint and bytes of the rest · varint length of the record · record
//   directory    a block each: varint length · word CRC32C of the block · varint records · varint and bytes of the
//                first path
//   header       JSON of the manifest's own fields
//   footer       word length and CRC32C of the directory · the same of the header · float64 offset of the directory
//                · float64 files · float64 bytes of files · word CRC32C of the footer before it · "SKFSIDXF"
import { crc32c } from '../base/crc32c.ts';
import { SeekfsError } from '../base/errors.ts';
import { ByteReader, ByteWriter } from './byte-cursor.ts';
import { parseDigest, parseInteger, parseObject, parsePath, parseText } from './entry-json.ts';
import { decodeRecord, encodeRecord } from './index-record.ts';
import { KEY_BYTES_MAX } from './key-layout.ts';
import type { FileEntry, ManifestHeader, PublishedIndex } from './types.ts';

const MAGIC = Buffer.from('SKFSIDX1');
const FOOTER_MAGIC = Buffer.from('SKFSIDXF');
export const FOOTER_BYTES = 4 * 4 + 3 * 8 + 4 + 8;
const BLOCK_BYTES_MIN = 32 * 1024;

export function indexDamaged(what: string): SeekfsError {
  return new SeekfsError('cache_corrupt', `a compiled index of a manifest is damaged: ${what}`);
}

/** Takes entries in order; what `takeBytes` gives, one after the other, is the file. `loadCrc32c` must have resolved. */
export class IndexWriter {
  readonly #ns: string;
  readonly #block = new ByteWriter();
  readonly #record = new ByteWriter(4096);
  readonly #directory = new ByteWriter();
  #done: Buffer[] = [MAGIC];
  #offset = MAGIC.length;
  #pendingBytes = 0;
  #blockRecords = 0;
  #firstPath: Buffer = Buffer.alloc(0);
  #lastPath: Buffer = Buffer.alloc(0);
  #isEmpty = true;
  fileCount = 0;
  totalBytes = 0;

  constructor(ns: string) {
    this.#ns = ns;
  }

  /** @returns false, and takes nothing, unless the path comes after the one before */
  add(entry: FileEntry): boolean {
    const record = this.#record;
    encodeRecord(record, this.#ns, entry);
    const isTaken = this.addRecord(Buffer.from(entry.path), record.view(), entry.sizeBytes);
    record.clear();
    return isTaken;
  }

  /** The same of a record that is encoded already. */
  addRecord(path: Buffer, record: Uint8Array, sizeBytes: number): boolean {
    if (!this.#isEmpty && Buffer.compare(this.#lastPath, path) >= 0) return false;
    this.#isEmpty = false;
    let shared = 0;
    if (this.#blockRecords === 0) {
      this.#firstPath = path;
    } else {
      const limit = Math.min(path.length, this.#lastPath.length);
      while (shared < limit && path[shared] === this.#lastPath[shared]) shared += 1;
    }
    const block = this.#block;
    block.varint(shared);
    block.varint(path.length - shared);
    block.raw(path.subarray(shared));
    block.varint(record.length);
    block.raw(record);
    this.#blockRecords += 1;
    this.#lastPath = path;
    this.fileCount += 1;
    this.totalBytes += sizeBytes;
    if (block.length >= BLOCK_BYTES_MIN) this.#endBlock();
    return true;
  }

  #endBlock(): void {
    const bytes = this.#block.take();
    this.#directory.varint(bytes.length);
    this.#directory.word(crc32c(bytes));
    this.#directory.varint(this.#blockRecords);
    this.#directory.varint(this.#firstPath.length);
    this.#directory.raw(this.#firstPath);
    this.#done.push(bytes);
    this.#offset += bytes.length;
    this.#pendingBytes += bytes.length;
    this.#blockRecords = 0;
  }

  /** What `takeBytes` would give. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Bytes of the file that are complete by now. */
  takeBytes(): Buffer[] {
    const done = this.#done;
    this.#done = [];
    this.#pendingBytes = 0;
    return done;
  }

  finish(header: ManifestHeader): void {
    if (this.#blockRecords > 0) this.#endBlock();
    const directory = this.#directory.take();
    const head = Buffer.from(JSON.stringify(header));
    const footer = Buffer.alloc(FOOTER_BYTES);
    footer.writeUInt32LE(directory.length, 0);
    footer.writeUInt32LE(crc32c(directory), 4);
    footer.writeUInt32LE(head.length, 8);
    footer.writeUInt32LE(crc32c(head), 12);
    footer.writeDoubleLE(this.#offset, 16);
    footer.writeDoubleLE(this.fileCount, 24);
    footer.writeDoubleLE(this.totalBytes, 32);
    footer.writeUInt32LE(crc32c(footer.subarray(0, 40)), 40);
    FOOTER_MAGIC.copy(footer, 44);
    this.#done.push(directory, head, footer);
  }
}

export interface IndexFooter {
  readonly directoryOff: number;
  readonly directoryBytes: number;
  readonly directoryCrc: number;
  readonly headerBytes: number;
  readonly headerCrc: number;
  readonly fileCount: number;
  readonly totalBytes: number;
}

/** @throws cache_corrupt */
export function parseFooter(footer: Buffer, fileBytes: number): IndexFooter {
  if (footer.length !== FOOTER_BYTES || !footer.subarray(44).equals(FOOTER_MAGIC))
    throw indexDamaged('it has no footer');
  if (crc32c(footer.subarray(0, 40)) !== footer.readUInt32LE(40)) throw indexDamaged('its footer');
  const parsed = {
    directoryBytes: footer.readUInt32LE(0),
    directoryCrc: footer.readUInt32LE(4),
    headerBytes: footer.readUInt32LE(8),
    headerCrc: footer.readUInt32LE(12),
    directoryOff: footer.readDoubleLE(16),
    fileCount: footer.readDoubleLE(24),
    totalBytes: footer.readDoubleLE(32),
  };
  const { directoryOff, directoryBytes, headerBytes, fileCount, totalBytes } = parsed;
  const isSafe = [directoryOff, fileCount, totalBytes].every((value) => Number.isSafeInteger(value) && value >= 0);
  if (!isSafe || directoryOff + directoryBytes + headerBytes + FOOTER_BYTES !== fileBytes) {
    throw indexDamaged('its footer does not fit its size');
  }
  return parsed;
}

export interface IndexBlock {
  readonly off: number;
  readonly len: number;
  readonly crc: number;
  readonly firstPath: Buffer;
}

/** @throws cache_corrupt */
export function parseDirectory(directory: Buffer, footer: IndexFooter): IndexBlock[] {
  if (crc32c(directory) !== footer.directoryCrc) throw indexDamaged('its directory');
  const blocks: IndexBlock[] = [];
  let off = MAGIC.length;
  try {
    const reader = new ByteReader(directory);
    while (!reader.isAtEnd) {
      const len = reader.varint();
      const crc = reader.word();
      reader.varint();
      blocks.push({ off, len, crc, firstPath: reader.raw(reader.varint()) });
      off += len;
    }
  } catch {
    throw indexDamaged('its directory');
  }
  if (off !== footer.directoryOff) throw indexDamaged('its directory does not fit its blocks');
  return blocks;
}

/** @throws cache_corrupt */
export function parseIndexHeader(bytes: Buffer, footer: IndexFooter): ManifestHeader {
  if (crc32c(bytes) !== footer.headerCrc) throw indexDamaged('its header');
  try {
    const { publishId, index, ...header } = parseObject(JSON.parse(bytes.toString('utf8')), 'header');
    const { version, parents, tombstones, createdAtS } = header as unknown as ManifestHeader;
    parseInteger(version, 'version', { min: 1 });
    parseInteger(createdAtS, 'time', { min: 0 });
    for (const parent of parents) parseInteger(parent, 'parent', { min: 1 });
    for (const path of tombstones) parsePath(path, 'tombstone');
    return {
      version,
      parents: [...parents],
      tombstones: [...tombstones],
      createdAtS,
      publishId: typeof publishId === 'string' ? publishId : undefined,
      index: index === undefined ? undefined : parsePublishedIndex(index),
    };
  } catch {
    throw indexDamaged('its header');
  }
}

function parsePublishedIndex(value: unknown): PublishedIndex {
  const { key, digest, sizeBytes } = parseObject(value, 'index');
  return {
    key: parseText(key, 'key', KEY_BYTES_MAX),
    digest: parseDigest(digest, 'digest'),
    sizeBytes: parseInteger(sizeBytes, 'size', { min: 1 }),
  };
}

/** Reads the records of one block, whose CRC was checked, in order. */
export class BlockCursor {
  readonly #ns: string;
  readonly #reader: ByteReader;
  readonly #bytes: Buffer;
  readonly #path = Buffer.allocUnsafe(4096);
  #pathLength = 0;
  #recordStart = 0;
  #recordEnd = 0;

  constructor(ns: string, block: Buffer) {
    this.#ns = ns;
    this.#bytes = block;
    this.#reader = new ByteReader(block);
  }

  /** Goes to the next record; false at the end. @throws cache_corrupt */
  next(): boolean {
    const reader = this.#reader;
    if (reader.isAtEnd) return false;
    try {
      const shared = reader.varint();
      const rest = reader.varint();
      if (shared > this.#pathLength || shared + rest > this.#path.length) throw new RangeError('path');
      const start = reader.skip(rest);
      this.#bytes.copy(this.#path, shared, start, start + rest);
      this.#pathLength = shared + rest;
      const length = reader.varint();
      this.#recordStart = reader.skip(length);
      this.#recordEnd = this.#recordStart + length;
      return true;
    } catch {
      throw indexDamaged('a block');
    }
  }

  /** The path of the record; valid until the next one. */
  get path(): Buffer {
    return this.#path.subarray(0, this.#pathLength);
  }

  /** @throws cache_corrupt */
  entry(): FileEntry {
    try {
      const reader = new ByteReader(this.#bytes, this.#recordStart, this.#recordEnd);
      return decodeRecord(reader, this.#ns, this.#path.toString('utf8', 0, this.#pathLength));
    } catch {
      throw indexDamaged('a record');
    }
  }
}
