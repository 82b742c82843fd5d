// The one writer of one segment file: creates it exclusively, appends records, several in one write, seals it with a
// footer. Used by whoever owns a log (the cache's write queue); knows nothing of pages, capacity or other segments.
import { join } from 'node:path';
import { systemErrorCode } from '../base/errors.ts';
import { ALIGNMENT_BYTES, copyShared, pageAlignedMemory } from '../base/page-aligned.ts';
import { KIB, MIB } from '../base/units.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';
import {
  encodeRecordHead,
  encodeSegmentHeader,
  FOOTER_ENTRY_BYTES,
  headBytesOf,
  PADDING_BYTES_MAX,
  SEGMENT_BYTES_MAX,
  type NewRecord,
  type RecordEntry,
  type RecordKey,
  type RecordKeyLengths,
} from './format.ts';
import { FooterWriter } from './footer-writer.ts';
import { formatSegmentName } from './names.ts';

const FOOTER_FIXED_BYTES = 64;
/** Payloads from this size on begin at a block of the file system, so that they can be written past the page cache. */
export const ALIGNED_PAYLOAD_BYTES_MIN = 256 * KIB;
/** For the heads of one write past the page cache, each in pages of its own; what is over goes through it. */
const HEADS_BYTES = MIB;

/** A record, with the buffers that hold its payload. */
export interface Append {
  readonly record: NewRecord;
  readonly payload: readonly Uint8Array[];
}

export interface SegmentCreation {
  readonly disk: Disk;
  readonly directoryPath: string;
  /** 16 random bytes. */
  readonly id: Buffer;
  readonly reservedBytes: number;
  readonly owner: string;
  readonly nowMs: number;
}

export class SegmentWriter {
  readonly id: Buffer;
  readonly idHex: string;
  readonly reservedBytes: number;
  /** The name it has until it is sealed. */
  readonly openName: string;
  readonly #disk: Disk;
  readonly #directoryPath: string;
  readonly #file: DiskFile;
  readonly #footer = new FooterWriter();
  #footerBytes = FOOTER_FIXED_BYTES;
  #position: number;
  #busy = false;
  #ended = false;
  /** Reused by each write. */
  #heads: Buffer | undefined;

  private constructor(creation: SegmentCreation, openName: string, file: DiskFile, position: number) {
    this.id = creation.id;
    this.idHex = creation.id.toString('hex');
    this.reservedBytes = creation.reservedBytes;
    this.openName = openName;
    this.#disk = creation.disk;
    this.#directoryPath = creation.directoryPath;
    this.#file = file;
    this.#position = position;
  }

  /** @throws system errors of the disk; nothing is left behind then, as far as the disk lets us */
  static async create(creation: SegmentCreation): Promise<SegmentWriter> {
    const { disk, directoryPath, id, reservedBytes, owner, nowMs } = creation;
    if (reservedBytes > SEGMENT_BYTES_MAX) throw new RangeError(`a segment of ${reservedBytes} bytes is too large`);
    const name = formatSegmentName({ kind: 'open', idHex: id.toString('hex'), reservedBytes });
    const path = join(directoryPath, name);
    const file = await disk.open(path, 'create');
    try {
      const header = encodeSegmentHeader({ id, createdAtMs: nowMs, reservedBytes, owner });
      await file.write([header], 0);
      return new SegmentWriter(creation, name, file, header.length);
    } catch (error) {
      await file.close().catch(() => undefined);
      await disk.remove(path).catch(() => undefined);
      throw error;
    }
  }

  /** Where the next record goes; all before it is written. */
  get position(): number {
    return this.#position;
  }

  /** Appended so far. */
  get records(): number {
    return this.#footer.records;
  }

  /** For more records, each with its part of the footer. */
  get roomBytes(): number {
    return this.reservedBytes - this.#position - this.#footerBytes;
  }

  fits(key: RecordKey, payloadBytes: number): boolean {
    return recordRoomBytes(key, payloadBytes) <= this.roomBytes;
  }

  /**
   * Appends in one write, which can go past the page cache where the disk can; one call at a time. The payloads' buffers
   * are only read, and no longer needed afterwards.
   * @throws system errors of the disk; the segment then takes no more records and wants `abandon`
   */
  async append(appends: readonly Append[], options?: { readonly direct: boolean }): Promise<RecordEntry[]> {
    if (this.#ended || this.#busy) throw new Error('the segment takes no record now');
    const buffers: Uint8Array[] = [];
    const entries: RecordEntry[] = [];
    let [end, headsBytes] = [this.#position, 0];
    for (const { record, payload } of appends) {
      const { group, item, payloadBytes } = record;
      const padding = paddingBytesOf(end + headBytesOf(record, payloadBytes), payloadBytes);
      const head = encodeRecordHead(record, { segmentId: this.id, offset: end }, padding);
      if (options?.direct && headsBytes + head.length <= HEADS_BYTES) {
        this.#heads ??= pageAlignedMemory(HEADS_BYTES);
        copyShared(this.#heads, headsBytes, head);
        buffers.push(this.#heads.subarray(headsBytes, headsBytes + head.length), ...payload);
        headsBytes += Math.ceil(head.length / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
      } else {
        buffers.push(head, ...payload);
      }
      entries.push({ offset: end, headBytes: head.length, payloadBytes, group, item });
      end += head.length + payloadBytes;
    }
    this.#busy = true;
    this.#ended = true;
    await this.#file.write(buffers, this.#position, options);
    this.#busy = false;
    this.#ended = false;
    for (const entry of entries) {
      this.#footer.add(entry);
      this.#footerBytes += footerBytesOf(entry);
    }
    this.#position = end;
    return entries;
  }

  /**
   * Writes the footer, gives the file its final name and closes it. `durable`: content first, then the name, are synced;
   * otherwise a power cut may undo or tear any of it, which readers find out by the checksums.
   * @throws system errors of the disk; the file is closed then too, and lacks a footer or its final name
   */
  async seal(options: { readonly durable: boolean }): Promise<{ readonly sizeBytes: number }> {
    if (this.#ended) throw new Error('the segment has ended');
    this.#ended = true;
    try {
      const footer = this.#footer.finish({ segmentId: this.id, offset: this.#position });
      await this.#file.write(footer, this.#position);
      if (options.durable) await this.#file.sync();
      const sealedName = formatSegmentName({ kind: 'sealed', idHex: this.idHex });
      const sealedPath = join(this.#directoryPath, sealedName);
      await this.#disk.rename(join(this.#directoryPath, this.openName), sealedPath).catch(async (error: unknown) => {
        // Whoever took this process for dead has given it its final name already.
        if (systemErrorCode(error) !== 'ENOENT') throw error;
        await this.#disk.stat(sealedPath);
      });
      if (options.durable) await this.#disk.syncDirectory(this.#directoryPath);
      return { sizeBytes: this.#position + footer.reduce((sum, piece) => sum + piece.length, 0) };
    } finally {
      await this.#file.close().catch(() => undefined);
    }
  }

  /** Makes what was appended so far durable. */
  async sync(): Promise<void> {
    await this.#file.sync();
    await this.#disk.syncDirectory(this.#directoryPath);
  }

  /**
   * Gives up on it after an error, as far as the disk still lets us: what is behind the last whole record is cut off,
   * and the final name frees the reservation. There is no footer, so readers scan. An empty one is removed.
   */
  async abandon(): Promise<void> {
    this.#ended = true;
    const path = join(this.#directoryPath, this.openName);
    await this.#file.truncate(this.#position).catch(() => undefined);
    await this.#file.close().catch(() => undefined);
    const sealedName = formatSegmentName({ kind: 'sealed', idHex: this.idHex });
    await (
      this.records === 0 ? this.#disk.remove(path) : this.#disk.rename(path, join(this.#directoryPath, sealedName))
    ).catch(() => undefined);
  }
}

/** What a record takes of a segment's room, at most. */
export function recordRoomBytes(key: RecordKeyLengths, payloadBytes: number): number {
  const paddingMax = payloadBytes < ALIGNED_PAYLOAD_BYTES_MIN ? 0 : PADDING_BYTES_MAX;
  return headBytesOf(key, payloadBytes) + paddingMax + payloadBytes + footerBytesOf(key);
}

/** Between a head that ends there and its payload. */
function paddingBytesOf(headEnd: number, payloadBytes: number): number {
  if (payloadBytes < ALIGNED_PAYLOAD_BYTES_MIN) return 0;
  return (ALIGNMENT_BYTES - (headEnd % ALIGNMENT_BYTES)) % ALIGNMENT_BYTES;
}

/** At most: the two bytes are the length of a group that is not there yet. */
function footerBytesOf(key: RecordKeyLengths): number {
  return FOOTER_ENTRY_BYTES + 2 + key.group.length + key.item.length;
}
