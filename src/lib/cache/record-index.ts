// The in-memory index of L2: an open-addressing table in one typed array, 28 bytes a slot, that maps (file hash, page
// id) to where records lie. Several records of one page stand behind each other. It holds no keys: whoever reads a
// record compares its key, so a collision of hashes is a miss and nothing worse. Knows nothing of disks.
import type { FileHash } from './page-key.ts';

/** hash lo, hi · page id · segment number + 1 · offset · head bytes · first granule and count. */
export const SLOT_WORDS = 7;
const FREE = 0;
const REMOVED = 0xffff_ffff;
const SLOTS_MIN = 1024;

export interface IndexedRecord extends FileHash {
  readonly pageId: number;
  readonly segment: number;
  readonly offset: number;
  readonly headBytes: number;
  readonly firstGranule: number;
  readonly granules: number;
}

/** The raw slots, and how many of them hold a record. */
export interface IndexTable {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly count: number;
}

/** Changes the segment numbers of slots [from, to) in place; those of segments that `renumber` does not know go. */
export function renumberSlots(
  words: Uint32Array,
  range: { readonly from: number; readonly to: number },
  renumber: (segment: number) => number | undefined,
): number {
  let kept = 0;
  for (let at = range.from * SLOT_WORDS + 3; at < range.to * SLOT_WORDS; at += SLOT_WORDS) {
    const state = words[at]!;
    if (state === FREE || state === REMOVED) continue;
    const number = renumber(state - 1);
    words[at] = number === undefined ? REMOVED : number + 1;
    if (number !== undefined) kept += 1;
  }
  return kept;
}

export class RecordIndex {
  #words = new Uint32Array(SLOTS_MIN * SLOT_WORDS);
  #mask = SLOTS_MIN - 1;
  #count = 0;
  /** Slots that are not free: records and removed ones, which lookups must step over. */
  #used = 0;

  get count(): number {
    return this.#count;
  }

  get memoryBytes(): number {
    return this.#words.byteLength;
  }

  /** Takes memory for so many more records now, rather than by and by. */
  reserve(records: number): void {
    if ((this.#used + records) * 4 > (this.#mask + 1) * 3) this.#rehash(this.#count + records);
  }

  insert(record: IndexedRecord): void {
    this.reserve(1);
    let slot = this.#home(record.lo, record.pageId);
    while (this.#words[slot * SLOT_WORDS + 3] !== FREE) slot = (slot + 1) & this.#mask;
    const at = slot * SLOT_WORDS;
    this.#words[at] = record.lo;
    this.#words[at + 1] = record.hi;
    this.#words[at + 2] = record.pageId;
    this.#words[at + 3] = record.segment + 1;
    this.#words[at + 4] = record.offset;
    this.#words[at + 5] = record.headBytes;
    this.#words[at + 6] = record.firstGranule | (record.granules << 16);
    this.#count += 1;
    this.#used += 1;
  }

  /** The first slot with this key at or after the key's home, or -1. Slots are valid until the next insert. */
  find(hash: FileHash, pageId: number): number {
    return this.#from(this.#home(hash.lo, pageId), hash, pageId);
  }

  /** The next slot with the same key, or -1. */
  findNext(slot: number, hash: FileHash, pageId: number): number {
    return this.#from((slot + 1) & this.#mask, hash, pageId);
  }

  at(slot: number): IndexedRecord {
    const at = slot * SLOT_WORDS;
    const words = this.#words;
    return {
      lo: words[at]!,
      hi: words[at + 1]!,
      pageId: words[at + 2]!,
      segment: words[at + 3]! - 1,
      offset: words[at + 4]!,
      headBytes: words[at + 5]!,
      firstGranule: words[at + 6]! & 0xffff,
      granules: words[at + 6]! >>> 16,
    };
  }

  remove(slot: number): void {
    this.#words[slot * SLOT_WORDS + 3] = REMOVED;
    this.#count -= 1;
  }

  /** Removes one record, wherever its slot is by now. */
  removeRecord(record: IndexedRecord): void {
    for (let slot = this.find(record, record.pageId); slot >= 0; slot = this.findNext(slot, record, record.pageId)) {
      const at = slot * SLOT_WORDS;
      if (this.#words[at + 3] === record.segment + 1 && this.#words[at + 4] === record.offset) {
        this.remove(slot);
        return;
      }
    }
  }

  removeSegments(segments: ReadonlySet<number>): void {
    const words = this.#words;
    for (let at = 3; at < words.length; at += SLOT_WORDS) {
      const state = words[at]!;
      if (state === FREE || state === REMOVED || !segments.has(state - 1)) continue;
      words[at] = REMOVED;
      this.#count -= 1;
    }
  }

  /** A copy of the table as it is now, for the sidecar. */
  snapshot(): IndexTable {
    return { words: this.#words.slice(), count: this.#count };
  }

  /** Becomes the table, which it takes over; false, and nothing changes, where that cannot be one. */
  adopt(table: IndexTable): boolean {
    const slots = table.words.length / SLOT_WORDS;
    if (slots < SLOTS_MIN || !Number.isInteger(Math.log2(slots))) return false;
    let used = 0;
    let count = 0;
    for (let at = 3; at < table.words.length; at += SLOT_WORDS) {
      const state = table.words[at];
      if (state !== FREE) used += 1;
      if (state !== FREE && state !== REMOVED) count += 1;
    }
    // Without a free slot a lookup would never end.
    if (count !== table.count || used * 4 > slots * 3) return false;
    this.#words = table.words;
    this.#mask = slots - 1;
    this.#count = count;
    this.#used = used;
    return true;
  }

  #home(lo: number, pageId: number): number {
    const mixed = Math.imul(lo ^ Math.imul(pageId, 0x9e3779b1), 0x85ebca6b);
    return (mixed ^ (mixed >>> 15)) & this.#mask;
  }

  #from(start: number, hash: FileHash, pageId: number): number {
    const words = this.#words;
    for (let slot = start; ; slot = (slot + 1) & this.#mask) {
      const at = slot * SLOT_WORDS;
      const state = words[at + 3];
      if (state === FREE) return -1;
      if (words[at] === hash.lo && words[at + 1] === hash.hi && words[at + 2] === pageId && state !== REMOVED) {
        return slot;
      }
    }
  }

  #rehash(count: number): void {
    let slots = SLOTS_MIN;
    while (slots < count * 2 + 2) slots *= 2;
    const old = this.#words;
    this.#words = new Uint32Array(slots * SLOT_WORDS);
    this.#mask = slots - 1;
    for (let from = 0; from < old.length; from += SLOT_WORDS) {
      const state = old[from + 3]!;
      if (state === FREE || state === REMOVED) continue;
      let slot = this.#home(old[from]!, old[from + 2]!);
      while (this.#words[slot * SLOT_WORDS + 3] !== FREE) slot = (slot + 1) & this.#mask;
      this.#words.set(old.subarray(from, from + SLOT_WORDS), slot * SLOT_WORDS);
    }
    this.#used = this.#count;
  }
}
