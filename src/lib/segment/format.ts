// The wire format of segment files: pure encode and decode, little-endian, every byte under a checksum. Used by the
// writer, the reader, the scan and the check; it knows nothing of pages, and does no I/O. docs/format/segment.md.
//
//   segment  = segment header, record*, [footer]            a file without footer is open, or was abandoned
//   segment header                                          footer
//     0  8  magic "SEEKFSEG"                                  0   4  magic "SKFT"
//     8  2  format version, 1                                 4   2  format version, 1
//     10 2  bytes of the owner's name                         6   2  zero
//     12 4  CRC32C of all but these four bytes                8   4  CRC32C of all but these four bytes
//     16 16 segment id, random, never used again              12  4  footer bytes, trailer included
//     32 8  created at, ms since the epoch                    16  16 segment id
//     40 8  bytes reserved for the file                       32  8  offset of the footer in the file
//     48 .. owner: who writes, as text                        40  4  records
//   record head                                               44  4  groups
//     0  4  magic "SKRC"                                      48  .. groups: u16 length, bytes
//     4  2  format version, 1; 2 where there is padding       ..  .. records: u32 offset, u32 head bytes, u32 payload
//     6  2  kind of the record, its user's affair                    bytes, u32 group number, u16 length, item bytes
//     8  4  CRC32C of the head but these four bytes           -16 8  magic "SEALEDv1"
//     12 4  head bytes, table and padding included            -8  4  footer bytes, once more
//     16 8  offset of the record in its file                  -4  4  not of the footer bytes
//     24 16 segment id
//     40 4  payload bytes                                   Block CRCs are stored as crc32c(block) XOR mask, where
//     44 4  check block bytes, 16384                        mask = crc32c(segment id, u64 record offset, group, item,
//     48 2  group bytes                                     u32 block number): a table that is read in a wrong place
//     50 2  item bytes                                      fits no payload.
//     52 4  bytes of padding, 0 in version 1
//     56 8  written at, ms since the epoch
//     64 .. group, item, then u32 for each check block, then the padding (zeros); the payload follows at once
import { crc32c, crc32cCombine } from '../base/crc32c.ts';
import { GIB, KIB } from '../base/units.ts';

const FORMAT_VERSION = 1;
/** Of records with padding between head and payload; readers of version 1 alone take them for damage, which is a miss. */
const PADDED_VERSION = 2;
export const PADDING_BYTES_MAX = 4 * KIB - 1;
export const SEGMENT_ID_BYTES = 16;
export const BLOCK_BYTES = 16 * KIB;
export const SEGMENT_HEADER_BYTES = 48;
export const RECORD_HEADER_BYTES = 64;
export const TRAILER_BYTES = 16;
/** Offsets are 32-bit in indexes; writers roll long before. */
export const SEGMENT_BYTES_MAX = 4 * GIB - 1;
export const OWNER_BYTES_MAX = 512;
const GROUP_BYTES_MAX = 8 * KIB;
const ITEM_BYTES_MAX = 256;

const SEGMENT_MAGIC = Buffer.from('SEEKFSEG');
export const RECORD_MAGIC = Buffer.from('SKRC');
export const FOOTER_MAGIC = Buffer.from('SKFT');
export const TRAILER_MAGIC = Buffer.from('SEALEDv1');
export const FOOTER_HEADER_BYTES = 48;
export const FOOTER_CRC_AT = 8;
/** Of a footer's entry, its item apart. */
export const FOOTER_ENTRY_BYTES = 18;
const CRC_AT = { segment: 12, record: 8 } as const;

export interface SegmentHeader {
  readonly id: Buffer;
  readonly createdAtMs: number;
  readonly reservedBytes: number;
  readonly owner: string;
}

/** What a record is about: `group` (shared by many records, in a footer as a rule written once) and `item` (of this one). */
export interface RecordKey {
  readonly group: Buffer;
  readonly item: Buffer;
}

/** Of a key that need not be there yet. */
export interface RecordKeyLengths {
  readonly group: { readonly length: number };
  readonly item: { readonly length: number };
}

export interface RecordHead extends RecordKey {
  readonly segmentId: Buffer;
  readonly kind: number;
  readonly offset: number;
  readonly headBytes: number;
  readonly payloadBytes: number;
  readonly writtenAtMs: number;
  /** CRC32C of each check block of the payload, the mask taken off. */
  readonly blockCrcs: Uint32Array;
}

/** Where a record is, and what it is about: all that an index needs. */
export interface RecordEntry extends RecordKey {
  readonly offset: number;
  readonly headBytes: number;
  readonly payloadBytes: number;
}

export function recordBytes(entry: { readonly headBytes: number; readonly payloadBytes: number }): number {
  return entry.headBytes + entry.payloadBytes;
}

function blocksOf(payloadBytes: number): number {
  return Math.ceil(payloadBytes / BLOCK_BYTES);
}

export function headBytesOf(key: RecordKeyLengths, payloadBytes: number): number {
  return RECORD_HEADER_BYTES + key.group.length + key.item.length + 4 * blocksOf(payloadBytes);
}

/** CRC of the bytes without the four at `at`, which hold it. */
export function crcAround(bytes: Buffer, at: number): number {
  return crc32c(bytes.subarray(at + 4), crc32c(bytes.subarray(0, at)));
}

function fits(bytes: Buffer, crcAt: number): boolean {
  return bytes.readUInt32LE(crcAt) === crcAround(bytes, crcAt);
}

function writeSafe(bytes: Buffer, value: number, at: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no unsigned safe integer`);
  bytes.writeBigUInt64LE(BigInt(value), at);
}

function readSafe(bytes: Buffer, at: number): number | undefined {
  const value = Number(bytes.readBigUInt64LE(at));
  return Number.isSafeInteger(value) ? value : undefined;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const owner = Buffer.from(header.owner);
  if (owner.length > OWNER_BYTES_MAX) throw new RangeError('owner is too long');
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES + owner.length);
  SEGMENT_MAGIC.copy(bytes, 0);
  bytes.writeUInt16LE(FORMAT_VERSION, 8);
  bytes.writeUInt16LE(owner.length, 10);
  header.id.copy(bytes, 16);
  writeSafe(bytes, header.createdAtMs, 32);
  writeSafe(bytes, header.reservedBytes, 40);
  owner.copy(bytes, 48);
  bytes.writeUInt32LE(crcAround(bytes, CRC_AT.segment), CRC_AT.segment);
  return bytes;
}

/** `bytes` begin the file and hold SEGMENT_HEADER_BYTES + OWNER_BYTES_MAX of it, or all of it. */
export function decodeSegmentHeader(bytes: Buffer): (SegmentHeader & { readonly headerBytes: number }) | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || !bytes.subarray(0, 8).equals(SEGMENT_MAGIC)) return undefined;
  if (bytes.readUInt16LE(8) !== FORMAT_VERSION) return undefined;
  const headerBytes = SEGMENT_HEADER_BYTES + bytes.readUInt16LE(10);
  if (headerBytes > SEGMENT_HEADER_BYTES + OWNER_BYTES_MAX || headerBytes > bytes.length) return undefined;
  const header = bytes.subarray(0, headerBytes);
  if (!fits(header, CRC_AT.segment)) return undefined;
  const createdAtMs = readSafe(header, 32);
  const reservedBytes = readSafe(header, 40);
  if (createdAtMs === undefined || reservedBytes === undefined) return undefined;
  const id = Buffer.from(header.subarray(16, 32));
  return { id, createdAtMs, reservedBytes, owner: header.toString('utf8', 48), headerBytes };
}

/** crc32c of each block number as u32: grown when needed, at most 2 MiB for the largest payload. */
let numberCrcs = new Uint32Array(0);

function crcsOfNumbers(count: number): Uint32Array {
  if (numberCrcs.length < count) {
    const word = Buffer.alloc(4);
    numberCrcs = Uint32Array.from({ length: Math.max(1024, 2 * count) }, (_, block) => {
      word.writeUInt32LE(block);
      return crc32c(word);
    });
  }
  return numberCrcs;
}

/** Masks CRCs, or takes the mask off: it is its own inverse. */
function masked(
  crcs: Uint32Array,
  place: { readonly segmentId: Buffer; readonly offset: number } & RecordKey,
): Uint32Array {
  const offset = Buffer.alloc(8);
  writeSafe(offset, place.offset, 0);
  const seed = crc32c(place.item, crc32c(place.group, crc32c(offset, crc32c(place.segmentId))));
  // The CRC of the seed's bytes followed by a word, for every word: one shift of the seed, then a table.
  const shifted = crc32cCombine(seed, 0, 4);
  const ofNumbers = crcsOfNumbers(crcs.length);
  const result = new Uint32Array(crcs.length);
  for (let block = 0; block < crcs.length; block += 1) result[block] = crcs[block]! ^ shifted ^ ofNumbers[block]!;
  return result;
}

export interface NewRecord extends RecordKey {
  readonly kind: number;
  readonly payloadBytes: number;
  readonly writtenAtMs: number;
  /** CRC32C of each check block of the payload. */
  readonly blockCrcs: Uint32Array;
}

export function encodeRecordHead(
  record: NewRecord,
  place: { readonly segmentId: Buffer; readonly offset: number },
  paddingBytes = 0,
): Buffer {
  const { group, item, payloadBytes, blockCrcs } = record;
  if (group.length > GROUP_BYTES_MAX || item.length > ITEM_BYTES_MAX) throw new RangeError('record key is too long');
  if (blockCrcs.length !== blocksOf(payloadBytes)) throw new RangeError('one CRC a check block');
  if (paddingBytes > PADDING_BYTES_MAX) throw new RangeError('padding is too long');
  const headBytes = headBytesOf(record, payloadBytes) + paddingBytes;
  const bytes = Buffer.alloc(headBytes);
  RECORD_MAGIC.copy(bytes, 0);
  bytes.writeUInt16LE(paddingBytes > 0 ? PADDED_VERSION : FORMAT_VERSION, 4);
  bytes.writeUInt16LE(record.kind, 6);
  bytes.writeUInt32LE(headBytes, 12);
  writeSafe(bytes, place.offset, 16);
  place.segmentId.copy(bytes, 24);
  bytes.writeUInt32LE(payloadBytes, 40);
  bytes.writeUInt32LE(BLOCK_BYTES, 44);
  bytes.writeUInt16LE(group.length, 48);
  bytes.writeUInt16LE(item.length, 50);
  bytes.writeUInt32LE(paddingBytes, 52);
  writeSafe(bytes, record.writtenAtMs, 56);
  group.copy(bytes, RECORD_HEADER_BYTES);
  item.copy(bytes, RECORD_HEADER_BYTES + group.length);
  let at = RECORD_HEADER_BYTES + group.length + item.length;
  for (const word of masked(blockCrcs, { ...place, group, item })) at = bytes.writeUInt32LE(word, at);
  bytes.writeUInt32LE(crcAround(bytes, CRC_AT.record), CRC_AT.record);
  return bytes;
}

/** Lengths of the head that begins `bytes`, bounded but not yet checksummed; undefined where no head can begin. */
export function peekRecordHead(
  bytes: Buffer,
): { readonly headBytes: number; readonly payloadBytes: number } | undefined {
  if (bytes.length < RECORD_HEADER_BYTES || !bytes.subarray(0, 4).equals(RECORD_MAGIC)) return undefined;
  const version = bytes.readUInt16LE(4);
  if ((version !== FORMAT_VERSION && version !== PADDED_VERSION) || bytes.readUInt32LE(44) !== BLOCK_BYTES) {
    return undefined;
  }
  const paddingBytes = version === PADDED_VERSION ? bytes.readUInt32LE(52) : 0;
  if (paddingBytes > PADDING_BYTES_MAX) return undefined;
  const headBytes = bytes.readUInt32LE(12);
  const payloadBytes = bytes.readUInt32LE(40);
  const keyBytes = bytes.readUInt16LE(48) + bytes.readUInt16LE(50);
  if (bytes.readUInt16LE(48) > GROUP_BYTES_MAX || bytes.readUInt16LE(50) > ITEM_BYTES_MAX) return undefined;
  if (headBytes !== RECORD_HEADER_BYTES + keyBytes + 4 * blocksOf(payloadBytes) + paddingBytes) return undefined;
  return { headBytes, payloadBytes };
}

/** What a scan needs of the head in `bytes` (at least its length), if it is whole and belongs to this place. Nothing aliases `bytes`. */
export function decodeRecordEntry(
  bytes: Buffer,
  place: { readonly segmentId: Buffer; readonly offset: number },
): RecordEntry | undefined {
  const lengths = peekRecordHead(bytes);
  if (!lengths || lengths.headBytes > bytes.length) return undefined;
  const head = bytes.subarray(0, lengths.headBytes);
  if (!fits(head, CRC_AT.record)) return undefined;
  if (readSafe(head, 16) !== place.offset || !head.subarray(24, 40).equals(place.segmentId)) return undefined;
  if (readSafe(head, 56) === undefined) return undefined;
  const itemAt = RECORD_HEADER_BYTES + head.readUInt16LE(48);
  const group = Buffer.from(head.subarray(RECORD_HEADER_BYTES, itemAt));
  const item = Buffer.from(head.subarray(itemAt, itemAt + head.readUInt16LE(50)));
  return { offset: place.offset, ...lengths, group, item };
}

/** As `decodeRecordEntry`, with the rest and the table of CRCs. */
export function decodeRecordHead(
  bytes: Buffer,
  place: { readonly segmentId: Buffer; readonly offset: number },
): RecordHead | undefined {
  const entry = decodeRecordEntry(bytes, place);
  if (!entry) return undefined;
  const { group, item, payloadBytes } = entry;
  const { segmentId, offset } = place;
  const stored = new Uint32Array(blocksOf(payloadBytes));
  const tableAt = RECORD_HEADER_BYTES + group.length + item.length;
  for (let block = 0; block < stored.length; block += 1) stored[block] = bytes.readUInt32LE(tableAt + 4 * block);
  const blockCrcs = masked(stored, { segmentId, offset, group, item });
  return { ...entry, segmentId, kind: bytes.readUInt16LE(6), writtenAtMs: readSafe(bytes, 56)!, blockCrcs };
}

/** The header of a footer whose groups and entries take so many bytes; the checksum of it all is still to be filled in. */
export function encodeFooterHeader(footer: {
  readonly segmentId: Buffer;
  readonly offset: number;
  readonly records: number;
  readonly groups: number;
  readonly bodyBytes: number;
}): Buffer {
  const bytes = Buffer.alloc(FOOTER_HEADER_BYTES);
  FOOTER_MAGIC.copy(bytes, 0);
  bytes.writeUInt16LE(FORMAT_VERSION, 4);
  bytes.writeUInt32LE(FOOTER_HEADER_BYTES + footer.bodyBytes + TRAILER_BYTES, 12);
  footer.segmentId.copy(bytes, 16);
  writeSafe(bytes, footer.offset, 32);
  bytes.writeUInt32LE(footer.records, 40);
  bytes.writeUInt32LE(footer.groups, 44);
  return bytes;
}

/** The end of a footer that begins with this header. */
export function encodeTrailer(header: Buffer): Buffer {
  const footerBytes = header.readUInt32LE(12);
  const bytes = Buffer.alloc(TRAILER_BYTES);
  TRAILER_MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(footerBytes, 8);
  bytes.writeUInt32LE(~footerBytes >>> 0, 12);
  return bytes;
}

/** How long the footer is that the last TRAILER_BYTES of a file speak of; undefined where there is none. */
export function decodeTrailer(trailer: Buffer): number | undefined {
  if (trailer.length !== TRAILER_BYTES || !trailer.subarray(0, 8).equals(TRAILER_MAGIC)) return undefined;
  const footerBytes = trailer.readUInt32LE(8);
  if (trailer.readUInt32LE(12) !== ~footerBytes >>> 0) return undefined;
  return footerBytes >= FOOTER_HEADER_BYTES + TRAILER_BYTES ? footerBytes : undefined;
}

/** What the header of a footer says, if it belongs to this place: `bytes` begin with it. Its checksum is of all the footer. */
export function decodeFooterHeader(
  bytes: Buffer,
  place: { readonly segmentId: Buffer; readonly offset: number; readonly footerBytes: number },
): { readonly crc: number; readonly records: number; readonly groups: number } | undefined {
  if (bytes.length < FOOTER_HEADER_BYTES || !bytes.subarray(0, 4).equals(FOOTER_MAGIC)) return undefined;
  if (bytes.readUInt16LE(4) !== FORMAT_VERSION || bytes.readUInt32LE(12) !== place.footerBytes) return undefined;
  if (!bytes.subarray(16, 32).equals(place.segmentId) || readSafe(bytes, 32) !== place.offset) return undefined;
  return { crc: bytes.readUInt32LE(FOOTER_CRC_AT), records: bytes.readUInt32LE(40), groups: bytes.readUInt32LE(44) };
}
