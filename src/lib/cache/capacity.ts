// The bounds of L2: bytes of all segments (sealed sizes and open reservations), and free space that others are left.
// Asked before a segment is created, and once more after: so the bounds hold with any number of writers, the capacity
// within one segment's size.
import type { Disk } from '../disk/disk.ts';
import { makeDirectoryDurably } from '../disk/write-durably.ts';
import { SEGMENT_HEADER_BYTES, OWNER_BYTES_MAX, type RecordKey } from '../segment/format.ts';
import { recordRoomBytes } from '../segment/writer.ts';
import { GIB, MIB } from '../base/units.ts';
import type { SegmentSet } from './segment-set.ts';

const SEGMENT_BYTES_MAX = GIB;
const SEGMENTS_MIN = 32;
/** Header, footer and trailer around a lone record. */
const SEGMENT_FRAME_BYTES = SEGMENT_HEADER_BYTES + OWNER_BYTES_MAX + 1024;

/** What L2 leaves free on a file system of that size, where nobody says. */
export function defaultReserveBytes(totalBytes: number): number {
  return Math.min(totalBytes * 0.1, 32 * GIB);
}

/** Pages that were fetched, or pages that are written again so that a segment can go. */
export type Purpose = 'insert' | 'rewrite';

export interface CapacityOptions {
  readonly disk: Disk;
  readonly set: SegmentSet;
  readonly capacityBytes: number;
  /** Undefined: min(10 %, 32 GiB) of the file system. */
  readonly freeReserveBytes: number | undefined;
  /** Runs before the first segment of this process is created. */
  readonly beforeFirst?: (() => Promise<void>) | undefined;
  /** Evicts until so many bytes can be reserved; resolves when it did what it could. */
  readonly makeRoom?: ((bytes: number) => Promise<void>) | undefined;
}

export class CapacityGuard {
  readonly capacityBytes: number;
  readonly #options: CapacityOptions;
  #begun = false;
  #durable: Promise<unknown> = Promise.resolve();
  /** As of the last time a segment was asked for. */
  #isSpaceScarce = false;
  /** The smallest segment that was worth beginning then; before that the largest that this can be. */
  #leastBytes: number;

  constructor(options: CapacityOptions) {
    this.#options = options;
    this.capacityBytes = options.capacityBytes;
    this.#leastBytes = Math.min(this.segmentBytes, MIB);
  }

  /** Another segment takes an eviction. What the open one still has room for does not count. */
  get full(): boolean {
    return !this.hasRoomFor({ recordBytes: 0, queuedBytes: 0 });
  }

  /** Does a record go into a new segment without an eviction, when those that are queued are written? */
  hasRoomFor({ recordBytes, queuedBytes }: { readonly recordBytes: number; readonly queuedBytes: number }): boolean {
    const framesBytes = Math.ceil(queuedBytes / this.segmentBytes) * SEGMENT_FRAME_BYTES;
    const roomBytes = this.#boundFor('insert') - this.#options.set.boundBytes - queuedBytes - framesBytes;
    return !this.#isSpaceScarce && roomBytes >= Math.max(this.#leastBytes, recordBytes + SEGMENT_FRAME_BYTES);
  }

  /** Size at which segments roll. */
  get segmentBytes(): number {
    return Math.min(SEGMENT_BYTES_MAX, Math.floor(this.capacityBytes / SEGMENTS_MIN));
  }

  /** A record takes at most a quarter of the cache. */
  get recordBytesMax(): number {
    return Math.floor(this.capacityBytes / 4);
  }

  /**
   * The bytes that a new segment may grow to, at least enough for the record; undefined where there is no room.
   * @throws system errors of the disk
   */
  async reserve(record: RecordKey & { readonly payloadBytes: number }, purpose: Purpose): Promise<number | undefined> {
    const { disk, set, makeRoom } = this.#options;
    const { durable } = await makeDirectoryDurably(disk, set.directoryPath);
    this.#durable = Promise.all([this.#durable, durable]);
    if (!this.#begun) await this.#options.beforeFirst?.();
    this.#begun = true;
    // What is reserved counts against the bound until the segment ends: so much as records like this one will use.
    const recordBytes = recordRoomBytes(record, record.payloadBytes);
    const records = Math.max(1, Math.floor((this.segmentBytes - SEGMENT_FRAME_BYTES) / recordBytes));
    const wanted = SEGMENT_FRAME_BYTES + records * recordBytes;
    const least = SEGMENT_FRAME_BYTES + recordBytes;
    const worthwhile = Math.max(least, Math.min(wanted, MIB));
    await set.refresh();
    let room = await this.roomBytes(purpose);
    if (purpose === 'insert') {
      this.#leastBytes = worthwhile;
      this.#isSpaceScarce = (await this.#freeBytes()) < 2 * wanted;
    }
    // A smaller segment takes what was admitted because there is room for it: that must cost no other page.
    if (room < worthwhile && makeRoom && purpose === 'insert') {
      await makeRoom(wanted);
      room = await this.roomBytes(purpose);
    }
    if (room >= wanted) return wanted;
    return room >= worthwhile ? room : undefined;
  }

  /** Resolves when the directory of the segments would outlast a power loss. Behind the back of the first appends. */
  async directoryLasts(): Promise<void> {
    await this.#durable;
  }

  /** Are the bounds kept, all reservations of all writers counted? */
  async holds(purpose: Purpose): Promise<boolean> {
    await this.#options.set.refreshAnew();
    return (await this.roomBytes(purpose)) >= 0;
  }

  /**
   * Eviction must be able to write what it keeps before it removes the rest: while it does, and the one process that may
   * is at it, the cache takes up to one segment more. Kept free at all times, that segment would cost every epoch.
   */
  #boundFor(purpose: Purpose): number {
    return purpose === 'rewrite' ? this.capacityBytes + this.segmentBytes : this.capacityBytes;
  }

  /** Bytes that could be reserved now. */
  async roomBytes(purpose: Purpose): Promise<number> {
    const freeBytes = await this.#freeBytes();
    return Math.floor(Math.min(this.#boundFor(purpose) - this.#options.set.boundBytes, freeBytes));
  }

  /** Of the file system, past what is reserved for others and for segments. */
  async #freeBytes(): Promise<number> {
    const { disk, set } = this.#options;
    const { freeBytes, totalBytes } = await disk.space(set.directoryPath);
    const reserveBytes = this.#options.freeReserveBytes ?? Math.min(totalBytes * 0.1, 32 * GIB);
    // What open segments have reserved but not written yet is still counted as free by the file system.
    let promisedBytes = 0;
    for (const { name, sizeBytes } of set) {
      if (name.kind === 'open') promisedBytes += Math.max(0, name.reservedBytes - sizeBytes);
    }
    return freeBytes - reserveBytes - promisedBytes;
  }
}
