// Builds the footer of a segment, which format.ts draws, record by record, as the bytes that it will be: a segment of tiny
// files has millions of records, and each as an object would take several times as much until it is sealed.
import { crc32c } from '../base/crc32c.ts';
import { KIB } from '../base/units.ts';
import {
  crcAround,
  encodeFooterHeader,
  encodeTrailer,
  FOOTER_CRC_AT,
  FOOTER_ENTRY_BYTES,
  type RecordEntry,
} from './format.ts';

const CHUNK_BYTES = 64 * KIB;
/**
 * Groups that are known by number. One that comes back after so many others is written once more: readers do not mind,
 * and the room was reserved with its record.
 */
const GROUPS_KNOWN_MAX = 4096;

export class FooterWriter {
  readonly #groups = new Chunks();
  readonly #entries = new Chunks();
  readonly #numbers = new Map<string, number>();
  #groupCount = 0;
  #recordCount = 0;

  get records(): number {
    return this.#recordCount;
  }

  add({ offset, headBytes, payloadBytes, group, item }: RecordEntry): void {
    const number = this.#numberOf(group);
    const entry = this.#entries.room(FOOTER_ENTRY_BYTES + item.length);
    let at = entry.writeUInt32LE(offset, 0);
    at = entry.writeUInt32LE(headBytes, at);
    at = entry.writeUInt32LE(payloadBytes, at);
    at = entry.writeUInt32LE(number, at);
    at = entry.writeUInt16LE(item.length, at);
    item.copy(entry, at);
    this.#recordCount += 1;
  }

  #numberOf(group: Buffer): number {
    const text = group.toString('latin1');
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    if (this.#numbers.size === GROUPS_KNOWN_MAX) this.#numbers.clear();
    const number = this.#groupCount;
    this.#groupCount += 1;
    this.#numbers.set(text, number);
    const bytes = this.#groups.room(2 + group.length);
    group.copy(bytes, bytes.writeUInt16LE(group.length, 0));
    return number;
  }

  /** The footer in pieces, to be written one behind the other at `offset`; they are good until the next `add`. */
  finish(place: { readonly segmentId: Buffer; readonly offset: number }): Buffer[] {
    const body = [...this.#groups.pieces(), ...this.#entries.pieces()];
    const bodyBytes = body.reduce((sum, piece) => sum + piece.length, 0);
    const counts = { records: this.#recordCount, groups: this.#groupCount };
    const header = encodeFooterHeader({ ...place, ...counts, bodyBytes });
    const trailer = encodeTrailer(header);
    let crc = crcAround(header, FOOTER_CRC_AT);
    for (const piece of [...body, trailer]) crc = crc32c(piece, crc);
    header.writeUInt32LE(crc, FOOTER_CRC_AT);
    return [header, ...body, trailer];
  }
}

/** Bytes that grow at the end and never move. */
class Chunks {
  readonly #full: Buffer[] = [];
  #last = Buffer.alloc(0);
  #used = 0;

  /** The next so many bytes, to be filled by the caller. */
  room(length: number): Buffer {
    if (this.#used + length > this.#last.length) {
      if (this.#used > 0) this.#full.push(this.#last.subarray(0, this.#used));
      this.#last = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, length));
      this.#used = 0;
    }
    this.#used += length;
    return this.#last.subarray(this.#used - length, this.#used);
  }

  pieces(): Buffer[] {
    return [...this.#full, this.#last.subarray(0, this.#used)];
  }
}
