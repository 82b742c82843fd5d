// index.bin: the in-memory index as it is, beside the SQLite checkpoint, so that a process which opens a large cache
// reads one file instead of a footer of each segment. A hint like every index: what is wrong with it costs time only.
//
//   0  8  magic "SKFSINDX"                     then for each segment, numbered from 0
//   8  2  format version, 1                      0  16 segment id
//   10 2  words a slot, 7                        16 8  bytes of the file
//   12 4  CRC32C of all but these four bytes     24 8  covered up to this offset
//   16 8  written at, ms since the epoch         32 8  created at, ms since the epoch
//   24 4  segments                               40 4  records
//   28 4  slots                                  44 4  1 if it is complete: sealed, and covered to its end
//   32 4  records                              then the slots of record-index.ts, seven u32 each
//   36 4  zero
import { endianness } from 'node:os';
import { crc32c } from '../base/crc32c.ts';
import { systemErrorCode } from '../base/errors.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';
import { writeFileDurably } from '../disk/write-durably.ts';
import { crcAround } from '../segment/format.ts';
import { formatSegmentName } from '../segment/names.ts';
import { renumberSlots, SLOT_WORDS } from './record-index.ts';
import type { SegmentSet } from './segment-set.ts';

const MAGIC = Buffer.from('SKFSINDX');
const VERSION = 1;
const CRC_AT = 12;
const HEADER_BYTES = 40;
const SEGMENT_BYTES = 48;
const SLOT_BYTES = 4 * SLOT_WORDS;
/** 2²⁷ slots would be 3.5 GiB: more than any index, and a bound for what a damaged header makes us allocate. */
const SLOTS_MAX = 2 ** 27;
const SEGMENTS_MAX = 2 ** 20;
/** Renumbered at once: about a millisecond. */
const SLOTS_AT_ONCE = 2 ** 17;

/** The file's bytes hold little-endian words, as the memory of nearly every machine does. */
const usable = endianness() === 'LE';

function checksumOf(head: Buffer, words: Uint8Array): number {
  return crc32c(words, crcAround(head, CRC_AT));
}

/**
 * Writes what is indexed now, durably and at once. Complete segments and what was scanned of open ones are covered.
 * @throws system errors of the disk
 */
export async function writeSidecar(disk: Disk, path: string, set: SegmentSet, nowMs: number): Promise<void> {
  if (!usable) return;
  await set.settled();
  const segments = [...set].filter((segment) => segment.scannedTo > 0);
  const numbers = new Map(segments.map((segment, number) => [segment.number, number]));
  const head = Buffer.alloc(HEADER_BYTES + SEGMENT_BYTES * segments.length);
  for (const [number, segment] of segments.entries()) {
    const at = HEADER_BYTES + SEGMENT_BYTES * number;
    segment.id.copy(head, at);
    head.writeBigUInt64LE(BigInt(segment.sizeBytes), at + 16);
    head.writeBigUInt64LE(BigInt(segment.scannedTo), at + 24);
    head.writeBigUInt64LE(BigInt(segment.createdAtMs), at + 32);
    head.writeUInt32LE(segment.records, at + 40);
    head.writeUInt32LE(segment.complete ? 1 : 0, at + 44);
  }
  // From here on others may append and remove; the snapshot and the table of segments belong together.
  const { words } = set.index.snapshot();
  const slots = words.length / SLOT_WORDS;
  let records = 0;
  for (let from = 0; from < slots; from += SLOTS_AT_ONCE) {
    const to = Math.min(slots, from + SLOTS_AT_ONCE);
    records += renumberSlots(words, { from, to }, (number) => numbers.get(number));
    await new Promise((resolve) => setImmediate(resolve));
  }
  MAGIC.copy(head, 0);
  head.writeUInt16LE(VERSION, 8);
  head.writeUInt16LE(SLOT_WORDS, 10);
  head.writeBigUInt64LE(BigInt(nowMs), 16);
  head.writeUInt32LE(segments.length, 24);
  head.writeUInt32LE(slots, 28);
  head.writeUInt32LE(records, 32);
  const slotBytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  head.writeUInt32LE(checksumOf(head, slotBytes), CRC_AT);
  await writeFileDurably(disk, path, head, slotBytes);
}

/** What is wrong with the file, or undefined; a missing one, and one of another version, are as they should be. */
export async function checkSidecar(disk: Disk, path: string): Promise<string | undefined> {
  const file = await disk.open(path, 'read').catch(() => undefined);
  if (!file) return undefined;
  try {
    const read = await readSidecar(file);
    return read === 'damaged' ? 'index.bin does not fit its checksum; opening the cache takes longer' : undefined;
  } catch (error) {
    return `index.bin cannot be read: ${systemErrorCode(error) ?? String(error)}`;
  } finally {
    await file.close().catch(() => undefined);
  }
}

interface Sidecar {
  readonly head: Buffer;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly count: number;
}

async function readSidecar(file: DiskFile): Promise<Sidecar | 'damaged' | 'other-version'> {
  const fixed = Buffer.alloc(HEADER_BYTES);
  if ((await file.read([fixed], 0)) < HEADER_BYTES || !fixed.subarray(0, 8).equals(MAGIC)) return 'damaged';
  const [segments, slots] = [fixed.readUInt32LE(24), fixed.readUInt32LE(28)];
  const known = fixed.readUInt16LE(8) === VERSION && fixed.readUInt16LE(10) === SLOT_WORDS;
  if (!known) return 'other-version';
  const headBytes = HEADER_BYTES + SEGMENT_BYTES * segments;
  const { sizeBytes } = await file.stat();
  if (segments > SEGMENTS_MAX || slots > SLOTS_MAX || sizeBytes !== headBytes + SLOT_BYTES * slots) return 'damaged';
  const head = Buffer.alloc(headBytes);
  const words = new Uint32Array(slots * SLOT_WORDS);
  const slotBytes = new Uint8Array(words.buffer);
  if ((await file.read([head, slotBytes], 0)) < sizeBytes) return 'damaged';
  if (checksumOf(head, slotBytes) !== head.readUInt32LE(CRC_AT)) return 'damaged';
  return { head, words, count: head.readUInt32LE(32) };
}

/**
 * Makes the segments known and the index filled, into a set and an index that are empty.
 * @returns false, and nothing changes, for a file that is missing, unreadable, damaged or of another version
 */
export async function loadSidecar(disk: Disk, path: string, set: SegmentSet): Promise<boolean> {
  if (!usable) return false;
  const file = await disk.open(path, 'read').catch(() => undefined);
  if (!file) return false;
  try {
    const read = await readSidecar(file);
    if (typeof read === 'string' || !set.index.adopt(read)) return false;
    for (let at = HEADER_BYTES; at < read.head.length; at += SEGMENT_BYTES) addSegment(set, read.head.subarray(at));
    return true;
  } catch {
    return false;
  } finally {
    await file.close().catch(() => undefined);
  }
}

function addSegment(set: SegmentSet, row: Buffer): void {
  const complete = row.readUInt32LE(44) === 1;
  // The name of an open one comes with the next listing.
  const fileName = formatSegmentName({ kind: 'sealed', idHex: row.toString('hex', 0, 16) });
  const segment = set.add(fileName, {
    own: false,
    sizeBytes: Number(row.readBigUInt64LE(16)),
    scannedTo: Number(row.readBigUInt64LE(24)),
    complete,
  });
  segment.createdAtMs = Number(row.readBigUInt64LE(32));
  segment.records = row.readUInt32LE(40);
}
