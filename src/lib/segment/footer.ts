// Reads the footer of a sealed segment, which format.ts draws, in windows: a segment of tiny files has millions of
// records, and what reading them takes of memory must not grow with them. For scan.ts; trusts nothing that it reads.
import { crc32c } from '../base/crc32c.ts';
import { KIB, MIB } from '../base/units.ts';
import type { DiskFile } from '../disk/disk.ts';
import {
  decodeFooterHeader,
  decodeTrailer,
  FOOTER_CRC_AT,
  FOOTER_ENTRY_BYTES,
  FOOTER_HEADER_BYTES,
  TRAILER_BYTES,
  type RecordEntry,
} from './format.ts';

/** The last bytes of a segment: as a rule all of its footer. */
const TAIL_BYTES = 64 * KIB;
/** More than any group takes. */
const WINDOW_BYTES = MIB;
/** About three thousand entries, which is two milliseconds of the event loop. */
const BATCH_BYTES = 128 * KIB;
/** Up to so many bytes names are kept while entries are read, which may refer to them in any order; else a window of them. */
const GROUPS_KEPT_BYTES = 4 * MIB;

type Readable = Pick<DiskFile, 'read'>;

interface Bounds {
  readonly start: number;
  readonly end: number;
}

export class Footer {
  /** Where it begins in the file. */
  readonly offset: number;
  readonly records: number;
  readonly #bytes: FooterBytes;
  /** Where each group begins, and the last one ends, from the start of the footer. */
  readonly #groupStarts: Uint32Array;
  #groups: { readonly start: number; readonly bytes: Buffer } = { start: 0, bytes: Buffer.alloc(0) };

  private constructor(bytes: FooterBytes, records: number, groupStarts: Uint32Array) {
    this.offset = bytes.offset;
    this.records = records;
    this.#bytes = bytes;
    this.#groupStarts = groupStarts;
  }

  /**
   * The footer that ends the file, or undefined where no whole one does: every byte of it has been read and fits the
   * checksum then.
   * @throws system errors of the disk
   */
  static async read(
    file: Readable,
    segment: { readonly id: Buffer; readonly sizeBytes: number },
  ): Promise<Footer | undefined> {
    const bytes = await FooterBytes.find(file, segment.sizeBytes);
    if (!bytes) return undefined;
    const place = { segmentId: segment.id, offset: bytes.offset, footerBytes: bytes.length };
    const header = decodeFooterHeader(await bytes.at(0), place);
    if (!header || (await checksumOf(bytes)) !== header.crc) return undefined;
    const groupStarts = await startsOfGroups(bytes, header.groups);
    return groupStarts && new Footer(bytes, header.records, groupStarts);
  }

  /**
   * Its entries, some thousand at a time. They alias what was read for their batch, and entries of one group that follow
   * each other share its `Buffer`. They end where one does not fit, which no writer of ours brings about.
   * @throws system errors of the disk
   */
  async *batches(): AsyncGenerator<RecordEntry[]> {
    const end = this.#bytes.length - TRAILER_BYTES;
    let at = this.#groupStarts.at(-1)!;
    for (let left = this.records; left > 0;) {
      const window = await this.#bytes.at(at, end, BATCH_BYTES);
      const batch: RecordEntry[] = [];
      let known = { number: -1, group: window };
      let next = 0;
      while (left > 0 && next + FOOTER_ENTRY_BYTES <= window.length) {
        const itemAt = next + FOOTER_ENTRY_BYTES;
        const itemEnd = itemAt + window.readUInt16LE(next + 16);
        if (itemEnd > window.length) break;
        const number = window.readUInt32LE(next + 12);
        const offset = window.readUInt32LE(next);
        const headBytes = window.readUInt32LE(next + 4);
        const payloadBytes = window.readUInt32LE(next + 8);
        if (number >= this.#groupStarts.length - 1 || offset + headBytes + payloadBytes > this.offset) {
          left = 0;
          break;
        }
        if (number !== known.number) known = { number, group: this.#groupNow(number) ?? (await this.#group(number)) };
        batch.push({ offset, headBytes, payloadBytes, group: known.group, item: window.subarray(itemAt, itemEnd) });
        next = itemEnd;
        left -= 1;
      }
      if (batch.length === 0) return;
      yield batch;
      at += next;
    }
  }

  #groupNow(number: number): Buffer | undefined {
    const start = this.#groupStarts[number]! + 2 - this.#groups.start;
    const end = this.#groupStarts[number + 1]! - this.#groups.start;
    return start >= 2 && end <= this.#groups.bytes.length ? this.#groups.bytes.subarray(start, end) : undefined;
  }

  async #group(number: number): Promise<Buffer> {
    const end = this.#groupStarts.at(-1)!;
    const few = end - FOOTER_HEADER_BYTES <= GROUPS_KEPT_BYTES;
    const start = few ? FOOTER_HEADER_BYTES : this.#groupStarts[number]!;
    this.#groups = { start, bytes: await this.#bytes.at(start, end, few ? GROUPS_KEPT_BYTES : BATCH_BYTES) };
    // Empty where the file has become shorter meanwhile: nobody's name.
    return this.#groupNow(number) ?? Buffer.alloc(0);
  }
}

/** The bytes of a footer, a window at a time. */
class FooterBytes {
  readonly #file: Readable;
  readonly offset: number;
  readonly length: number;
  /** All of them, where they are few. */
  readonly #whole: Buffer | undefined;

  private constructor(file: Readable, { start, end }: Bounds, whole: Buffer | undefined) {
    this.#file = file;
    this.offset = start;
    this.length = end - start;
    this.#whole = whole;
  }

  static async find(file: Readable, sizeBytes: number): Promise<FooterBytes | undefined> {
    if (sizeBytes < TRAILER_BYTES) return undefined;
    const tail = Buffer.allocUnsafe(Math.min(TAIL_BYTES, sizeBytes));
    if ((await file.read([tail], sizeBytes - tail.length)) < tail.length) return undefined;
    const footerBytes = decodeTrailer(tail.subarray(tail.length - TRAILER_BYTES));
    if (footerBytes === undefined || footerBytes > sizeBytes) return undefined;
    const whole = footerBytes <= tail.length ? tail.subarray(tail.length - footerBytes) : undefined;
    return new FooterBytes(file, { start: sizeBytes - footerBytes, end: sizeBytes }, whole);
  }

  /** The bytes from `start` on, at most to `end` and at most so many: fewer where the file has become shorter. */
  async at(start: number, end = this.length, bytesMax = WINDOW_BYTES): Promise<Buffer> {
    if (this.#whole) return this.#whole.subarray(start, end);
    const bytes = Buffer.allocUnsafe(Math.min(bytesMax, end - start));
    return bytes.subarray(0, await this.#file.read([bytes], this.offset + start));
  }
}

/** Of all but the four bytes that hold it. */
async function checksumOf(bytes: FooterBytes): Promise<number> {
  let crc = crc32c((await bytes.at(0)).subarray(0, FOOTER_CRC_AT));
  for (let at = FOOTER_CRC_AT + 4; at < bytes.length;) {
    const window = await bytes.at(at);
    if (window.length === 0) break;
    crc = crc32c(window, crc);
    at += window.length;
  }
  return crc;
}

async function startsOfGroups(bytes: FooterBytes, groups: number): Promise<Uint32Array | undefined> {
  const end = bytes.length - TRAILER_BYTES;
  if (2 * groups > end) return undefined;
  const starts = new Uint32Array(groups + 1);
  let at = FOOTER_HEADER_BYTES;
  for (let number = 0; number < groups;) {
    const window = await bytes.at(at, end);
    let next = 0;
    for (; number < groups && next + 2 <= window.length; number += 1) {
      const groupEnd = next + 2 + window.readUInt16LE(next);
      if (groupEnd > window.length) break;
      starts[number] = at + next;
      next = groupEnd;
    }
    if (next === 0) return undefined;
    at += next;
  }
  starts[groups] = at;
  return starts;
}
