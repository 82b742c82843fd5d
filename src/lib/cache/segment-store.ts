// L2: pages on local disk, shared by all processes that use the directory. Looks up, plans which records answer a read,
// and hands what is to be written to the write queue. Damage and disk errors are misses here, never thrown. Knows
// nothing of L1, manifests or fetches.
import { systemErrorCode } from '../base/errors.ts';
import { OnceLogger, type Logger } from '../base/log.ts';
import type { MemoryGovernor, Slab } from '../base/memory.ts';
import type { Metrics } from '../base/metrics.ts';
import {
  CHECK_BLOCK_BYTES,
  GRANULE_BYTES,
  granuleCount,
  granuleLength,
  granulesOf,
  type GranuleSpan,
  type Page,
} from '../page/page.ts';
import type { VerifiedRun } from '../page/verified.ts';
import { GranuleBits } from './granule-bits.ts';
import { isCacheable, type FileKeys } from './page-key.ts';
import type { IndexedRecord } from './record-index.ts';
import type { KnownHead, RecordReader, Unread } from './record-reader.ts';
import type { SegmentSet } from './segment-set.ts';
import type { WriteQueue } from './write-queue.ts';

/** A read that meets damage looks again for other copies of the granules, this often at most. */
const ATTEMPTS_MAX = 4;
/** How soon after one listing of the directory a miss may cause the next. */
const REFRESH_INTERVAL_MS = 200;

interface PageRange {
  readonly off: number;
  readonly len: number;
}

/** Part of a read that one record answers: granules [first, first + count) of the page. */
interface Piece extends GranuleSpan {
  readonly record: IndexedRecord;
}

export interface SegmentStoreParts {
  readonly set: SegmentSet;
  readonly reader: RecordReader;
  readonly queue: WriteQueue;
  readonly keys: FileKeys;
  readonly memory: MemoryGovernor;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: { monotonicMs(): number };
}

export class SegmentStore {
  readonly #parts: SegmentStoreParts;
  readonly #log: Logger;
  #refreshedAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: SegmentStoreParts) {
    this.#parts = parts;
    this.#log = new OnceLogger(parts.log);
  }

  /** What the index knows; when that is not all, after a look at what other processes wrote. */
  presence(page: Page): GranuleBits | Promise<GranuleBits> {
    const bits = this.#presenceNow(page);
    const { clock } = this.#parts;
    if (bits.complete || clock.monotonicMs() - this.#refreshedAtMs < REFRESH_INTERVAL_MS) return bits;
    return this.refresh().then(() => this.#presenceNow(page));
  }

  /** Takes in what other processes wrote and removed since the last time. */
  async refresh(): Promise<void> {
    const { set, clock, metrics } = this.#parts;
    this.#refreshedAtMs = clock.monotonicMs();
    try {
      await set.refresh();
    } catch (error) {
      metrics.add('seekfs_l2_read_failures_total');
      const code = systemErrorCode(error) ?? String(error);
      this.#log.log('warn', `cannot list the cache in ${set.directoryPath} (${code}): reading through`);
    }
  }

  #presenceNow(page: Page): GranuleBits {
    const bits = new GranuleBits(granuleCount(page));
    for (const record of this.#records(page)) bits.add(record.firstGranule, record.granules);
    return bits;
  }

  #records(page: Page): IndexedRecord[] {
    const { set, keys } = this.#parts;
    const records: IndexedRecord[] = [];
    if (!isCacheable(page)) return records;
    const key = keys.of(page);
    const { index } = set;
    for (let slot = index.find(key, page.pageId); slot >= 0; slot = index.findNext(slot, key, page.pageId)) {
      records.push(index.at(slot));
    }
    return records;
  }

  /** As `PageCache.read`, from disk alone. */
  async read(
    page: Page,
    range: PageRange,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<Slab[] | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const pieces = planPieces(this.#records(page), granulesOf(range));
      if (!pieces) return undefined;
      const slabs = await this.#readPieces(page, range, pieces, options.signal);
      if (slabs === 'failed') return undefined;
      if (slabs === 'gone') continue;
      this.#parts.metrics.add('seekfs_l2_hit_bytes_total', range.len);
      return slabs;
    }
    return undefined;
  }

  async #readPieces(
    page: Page,
    range: PageRange,
    pieces: readonly Piece[],
    signal: AbortSignal | undefined,
  ): Promise<Slab[] | Unread> {
    const { reader, memory, keys } = this.#parts;
    const key = keys.of(page);
    const heads: KnownHead[] = [];
    for (const { record } of pieces) {
      const answer = reader.head(record, page, key);
      const head = answer instanceof Promise ? await answer : answer;
      if (typeof head === 'string') return head;
      heads.push(head);
    }
    const cuts = cutsOf(page, range);
    const lengths = cuts.map((cut) => cut.blocksEnd - cut.blocksStart);
    const slabs = (await memory.acquire(lengths, { lane: 'demand', signal }))!;
    const first = pieces[0]!.first;
    const answers = await Promise.all(
      pieces.map((piece, index) => {
        const at = piece.first - first;
        const buffers = slabs.slice(at, at + piece.count).map((slab) => slab.bytes);
        const inRecord = (piece.first - piece.record.firstGranule) * GRANULE_BYTES + cuts[at]!.blocksStart;
        return reader.blocks(piece.record, heads[index]!.head, inRecord / CHECK_BLOCK_BYTES, buffers);
      }),
    );
    const unread = answers.find((answer) => answer !== true);
    if (unread) {
      for (const slab of slabs) slab.release();
      return unread;
    }
    return slabs.map((slab, index) => {
      const { start, end, blocksStart, blocksEnd } = cuts[index]!;
      if (start === blocksStart && end === blocksEnd) return slab;
      const part = slab.slice(start - blocksStart, end - blocksStart);
      slab.release();
      return part;
    });
  }

  /**
   * Offers a run to the disk; false where the queue declines it. The queue retains the run while it needs it, and then
   * calls `onWritten`, whether it was written or given up.
   */
  insert(run: VerifiedRun, onWritten?: () => void): boolean {
    return isCacheable(run.page) && this.#parts.queue.offer(run, onWritten);
  }

  drain(): Promise<void> {
    return this.#parts.queue.drain();
  }

  drop(page: Page, span: GranuleSpan): void {
    for (const record of this.#records(page)) {
      const apart =
        record.firstGranule + record.granules <= span.first || record.firstGranule >= span.first + span.count;
      if (!apart) this.#parts.set.index.removeRecord(record);
    }
  }

  async close(): Promise<void> {
    await this.#parts.queue.close();
    await this.#parts.set.close();
  }
}

/** The fewest records that answer the span, or undefined where a granule is missing. */
function planPieces(records: readonly IndexedRecord[], span: GranuleSpan): Piece[] | undefined {
  const end = span.first + span.count;
  const pieces: Piece[] = [];
  for (let granule = span.first; granule < end;) {
    let best: IndexedRecord | undefined;
    let bestEnd = granule;
    for (const record of records) {
      const recordEnd = record.firstGranule + record.granules;
      if (record.firstGranule > granule || recordEnd <= bestEnd) continue;
      best = record;
      bestEnd = recordEnd;
    }
    if (!best) return undefined;
    const count = Math.min(end, bestEnd) - granule;
    pieces.push({ record: best, first: granule, count });
    granule += count;
  }
  return pieces;
}

/** What of each granule is wanted, and the whole check blocks around it, granule-relative and half-open. */
interface Cut {
  readonly start: number;
  readonly end: number;
  readonly blocksStart: number;
  readonly blocksEnd: number;
}

function cutsOf(page: Page, range: PageRange): Cut[] {
  const { first, count } = granulesOf(range);
  return Array.from({ length: count }, (_, index) => {
    const granule = first + index;
    const length = granuleLength(page, granule);
    const start = Math.max(0, range.off - granule * GRANULE_BYTES);
    const end = Math.min(length, range.off + range.len - granule * GRANULE_BYTES);
    const blocksStart = start - (start % CHECK_BLOCK_BYTES);
    const blocksEnd = Math.min(length, Math.ceil(end / CHECK_BLOCK_BYTES) * CHECK_BLOCK_BYTES);
    return { start, end, blocksStart, blocksEnd };
  });
}
