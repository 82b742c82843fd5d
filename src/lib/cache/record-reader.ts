// Reads the records that the index points to: heads (a bounded number stays parsed in memory) and check blocks. Sorts
// what can go wrong into damage (counted, the record leaves the index), disk trouble (counted, one warning) and records
// that are gone. Never throws for any of it.
import { systemErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { MIB } from '../base/units.ts';
import type { DiskFile } from '../disk/disk.ts';
import type { Page } from '../page/page.ts';
import { BLOCK_BYTES, type RecordHead } from '../segment/format.ts';
import { InlineReads } from './inline-reads.ts';
import { areIntact, positionOf, readBlocks, readRecordHead } from '../segment/reader.ts';
import { decodeItem, itemFits, PAGE_RECORD_KIND, type FileKey, type PageItem } from './page-key.ts';
import type { IndexedRecord, RecordIndex } from './record-index.ts';
import { SeenBlocks } from './seen-blocks.ts';
import type { Segment, SegmentSet } from './segment-set.ts';

/** Covers the heads of more than 10 GiB of payload. */
const HEADS_BYTES_MAX = 12 * MIB;

/** `gone`: the index has forgotten the record, another one may do. `failed`: the disk does not answer now. */
export type Unread = 'gone' | 'failed';

export interface KnownHead {
  readonly head: RecordHead;
  readonly item: PageItem;
  /** The head's, or an equal one that a page was looked up with: the next time it is the same object. */
  group: Buffer;
  readonly seen: SeenBlocks;
}

export class RecordReader {
  readonly #set: SegmentSet;
  readonly #index: RecordIndex;
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #clock: { monotonicMs(): number };
  readonly #inline = new InlineReads();
  readonly #heads = new Map<number, KnownHead>();
  #headsBytes = 0;

  constructor(parts: { set: SegmentSet; metrics: Metrics; log: Logger; clock: { monotonicMs(): number } }) {
    this.#set = parts.set;
    this.#index = parts.set.index;
    this.#metrics = parts.metrics;
    this.#log = parts.log;
    this.#clock = parts.clock;
  }

  /** The record's head, when it is a record of this very page. */
  async head(record: IndexedRecord, page: Page, key: FileKey): Promise<KnownHead | Unread> {
    const known = this.#heads.get(placeOf(record)) ?? (await this.#readHead(record));
    return typeof known === 'string' ? known : this.#matched(known, record, page, key);
  }

  /** The record's head, of whatever page it is. */
  async headOf(record: IndexedRecord): Promise<KnownHead | Unread> {
    return this.#heads.get(placeOf(record)) ?? this.#readHead(record);
  }

  #matched(known: KnownHead, record: IndexedRecord, page: Page, key: FileKey): KnownHead | Unread {
    if (isOf(known, page, key)) return known;
    // Another page size, or another file with the same hash: sound, but no answer for the page that is read now, and it
    // would be found again and again.
    this.#index.removeRecord(record);
    return 'gone';
  }

  async #readHead(record: IndexedRecord): Promise<KnownHead | Unread> {
    const { offset, headBytes } = record;
    const head = await this.#with(record, (file, segment) =>
      readRecordHead(file, { segmentId: segment.id, offset, headBytes }).then((read) => read ?? ('damaged' as const)),
    );
    if (typeof head === 'string') return head === 'damaged' ? this.#damaged(record, 'head') : head;
    const item = head.kind === PAGE_RECORD_KIND ? decodeItem(head.item, head.payloadBytes) : undefined;
    if (!item) return this.#damaged(record, 'head');
    const known = { head, item, group: head.group, seen: new SeenBlocks(head.blockCrcs.length) };
    this.#keep(placeOf(record), known);
    return known;
  }

  #keep(place: number, known: KnownHead): void {
    if (!this.#heads.has(place)) this.#headsBytes += costOf(known);
    this.#heads.set(place, known);
    for (const [oldPlace, old] of this.#heads) {
      if (this.#headsBytes <= HEADS_BYTES_MAX) return;
      this.#heads.delete(oldPlace);
      this.#headsBytes -= costOf(old);
    }
  }

  /** Fills the buffers from check block `first` of the payload on; true when every block is intact. */
  async blocks(
    record: IndexedRecord,
    { head, seen }: KnownHead,
    first: number,
    buffers: readonly Buffer[],
  ): Promise<true | Unread> {
    const intact = await this.#with(record, (file) => readBlocks(file, head, first, buffers));
    if (intact === false) return this.#damaged(record, 'payload');
    const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    if (intact === true) seen.add(first, first + Math.ceil(bytes / BLOCK_BYTES));
    return intact;
  }

  /**
   * As `head` and `blocks` of one buffer, at once, where it is known that the blocks lie in the operating system's memory.
   * False where they do not, and where anything is wrong: those two find out what, and what is to be done about it.
   */
  blocksNow(
    record: IndexedRecord,
    of: { readonly page: Page; readonly key: FileKey; readonly first: number },
    into: Buffer,
  ): boolean {
    const known = this.#heads.get(placeOf(record));
    const segment = this.#set.get(record.segment);
    if (!known || !segment || !isOf(known, of.page, of.key)) return false;
    const { head, seen } = known;
    const startedMs = this.#clock.monotonicMs();
    const end = of.first + Math.ceil(into.length / BLOCK_BYTES);
    if (!seen.has(of.first, end) || !this.#inline.allows(startedMs)) return false;
    const file = this.#set.fileIfOpen(segment, startedMs);
    if (!file?.readNow) return false;
    let read = 0;
    try {
      read = file.readNow(into, positionOf(head, of.first, into.length));
    } catch {
      // The next read meets it again, and says so.
    }
    this.#inline.took({ startedMs, endedMs: this.#clock.monotonicMs() });
    if (read !== into.length) return false;
    if (seen.areSame(of.first, into)) return true;
    if (!areIntact(head, of.first, into)) return false;
    seen.remember(of.first, into);
    return true;
  }

  #damaged(record: IndexedRecord, what: string): Unread {
    const segment = this.#set.get(record.segment);
    // A segment that another process removed while we read is no damage.
    if (segment) {
      this.#metrics.add('seekfs_crc_failures_total');
      this.#log.log('warn', `damaged ${what} of a record at ${record.offset} of ${segment.fileName}: fetching again`);
    }
    this.#index.removeRecord(record);
    return 'gone';
  }

  async #with<T>(record: IndexedRecord, use: (file: DiskFile, segment: Segment) => Promise<T>): Promise<T | Unread> {
    const segment = this.#set.get(record.segment);
    if (!segment) {
      this.#index.removeRecord(record);
      return 'gone';
    }
    try {
      return await this.#set.withFile(segment, (file) => use(file, segment));
    } catch (error) {
      return this.#unread(segment, error);
    }
  }

  #unread(segment: Segment, error: unknown): Unread {
    const code = systemErrorCode(error);
    if (code === 'ENOENT') {
      this.#set.forget(segment);
      return 'gone';
    }
    this.#metrics.add('seekfs_l2_read_failures_total');
    const reason = code ?? String(error);
    this.#log.log('warn', `cannot read the cache in ${this.#set.directoryPath} (${reason}): reading through`);
    return 'failed';
  }
}

/** Is it the head of a record of this very page? */
function isOf(known: KnownHead, page: Page, key: FileKey): boolean {
  if (known.group !== key.group) {
    if (!known.group.equals(key.group)) return false;
    known.group = key.group;
  }
  return itemFits(known.item, page);
}

function costOf(known: KnownHead): number {
  return 512 + 4 * known.head.blockCrcs.length + known.seen.bytesMax;
}

/** Unique for a record: a segment is below 4 GiB, and a process meets fewer than 2²¹ of them. */
function placeOf(record: IndexedRecord): number {
  return record.segment * 2 ** 32 + record.offset;
}
