// L2: pages on local disk, shared by all processes that use the directory. Looks up, plans which records answer a read,
// and hands what is to be written to the write queue. Damage and disk errors are misses here, never thrown. Knows
// nothing of L1, manifests or fetches.
import { systemErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { MemoryGovernor, Slab } from '../base/memory.ts';
import type { Cell, Metrics } from '../base/metrics.ts';
import {
  BLOCKS_PER_GRANULE,
  CHECK_BLOCK_BYTES,
  granuleCount,
  granulesOf,
  type GranuleSpan,
  type Page,
} from '../page/page.ts';
import type { VerifiedRun } from '../page/verified.ts';
import type { CapacityGuard } from './capacity.ts';
import type { ReadActivity } from './cleaning.ts';
import { cutOf, cutSlab, type Cut, type PageRange } from './cuts.ts';
import type { GranuleBits } from './granule-bits.ts';
import type { Maintenance } from './maintenance.ts';
import { isCacheable, type FileKeys } from './page-key.ts';
import { bitsOf, planPieces, recordsOf, type Piece } from './pieces.ts';
import type { Retention } from './policy/retention.ts';
import type { IndexedRecord } from './record-index.ts';
import type { KnownHead, RecordReader, Unread } from './record-reader.ts';
import type { SegmentSet } from './segment-set.ts';
import { WarmReads } from './warm-reads.ts';
import type { OfferOptions, WriteQueue } from './write-queue.ts';

/** A read that meets damage looks again for other copies of the granules, this often at most. */
const ATTEMPTS_MAX = 4;
/** How soon after one listing of the directory a miss may cause the next. */
const REFRESH_INTERVAL_MS = 200;

/** How old a listing may be while every read finds what it wants. */
const STALE_MS = 5000;

export interface SegmentStoreParts {
  readonly set: SegmentSet;
  readonly reader: RecordReader;
  readonly queue: WriteQueue;
  readonly capacity: CapacityGuard;
  readonly retention: Retention;
  readonly maintenance: Maintenance;
  readonly keys: FileKeys;
  /** What compaction yields to; counted here. */
  readonly reads: ReadActivity;
  /** Bound of the bytes of any one namespace; Infinity for none. */
  readonly quotaBytes: number;
  readonly memory: MemoryGovernor;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: { monotonicMs(): number };
}

export class SegmentStore {
  readonly #parts: SegmentStoreParts;
  readonly #warm: WarmReads;
  readonly #hitBytes: Cell;
  #refreshedAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: SegmentStoreParts) {
    this.#parts = parts;
    this.#warm = new WarmReads({ index: parts.set.index, reader: parts.reader, memory: parts.memory });
    this.#hitBytes = parts.metrics.cell('seekfs_l2_hit_bytes_total');
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
    const { set, clock, metrics, log } = this.#parts;
    this.#refreshedAtMs = clock.monotonicMs();
    try {
      await set.refreshAnew();
    } catch (error) {
      metrics.add('seekfs_l2_read_failures_total');
      const code = systemErrorCode(error) ?? String(error);
      log.log('warn', `cannot list the cache in ${set.directoryPath} (${code}): reading through`);
    }
  }

  #presenceNow(page: Page): GranuleBits {
    return bitsOf(this.#records(page), granuleCount(page));
  }

  #records(page: Page): IndexedRecord[] {
    const { set, keys } = this.#parts;
    return isCacheable(page) ? recordsOf(set.index, keys.of(page), page.pageId) : [];
  }

  /** As `PageCache.read`, from disk alone. */
  read(
    page: Page,
    range: PageRange,
    options: { readonly signal?: AbortSignal | undefined },
  ): MaybePromise<Slab[] | undefined> {
    // A reader that finds everything must let go of segments that others removed, too.
    if (this.#parts.clock.monotonicMs() - this.#refreshedAtMs > STALE_MS) void this.refresh();
    const { reads, keys } = this.#parts;
    reads.begun += 1;
    const warm = isCacheable(page) ? this.#warm.read(page, keys.of(page), range) : undefined;
    if (warm) {
      this.#hitBytes.value += range.len;
      return warm;
    }
    reads.underWay += 1;
    return this.#read(page, range, options.signal).finally(() => {
      reads.underWay -= 1;
    });
  }

  async #read(page: Page, range: PageRange, signal: AbortSignal | undefined): Promise<Slab[] | undefined> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
      const pieces = planPieces(this.#records(page), granulesOf(range));
      if (!pieces) return undefined;
      const slabs = await this.#readPieces(page, range, pieces, signal);
      if (slabs === 'failed') return undefined;
      if (slabs !== 'gone') {
        this.#hitBytes.value += range.len;
        return slabs;
      }
      // Damaged, or removed by another process, which may have written it again elsewhere.
      await this.refresh();
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
    const heads = await Promise.all(pieces.map(({ record }) => reader.head(record, page, key)));
    const unknown = heads.find((head) => typeof head === 'string');
    if (unknown) return unknown;
    const { first, count } = granulesOf(range);
    const cuts = Array.from({ length: count }, (_, index) => cutOf(page, first + index, range));
    const lengths = cuts.map((cut) => cut.blocksEnd - cut.blocksStart);
    const slabs = await memory.acquire(lengths, { lane: 'demand', signal });
    const known = pieces.map((piece, index) => ({ ...piece, head: heads[index] as KnownHead }));
    return this.#fill(slabs!, cuts, known);
  }

  /** Reads the pieces into the slabs, one for each cut, which it takes over. */
  async #fill(
    slabs: Slab[],
    cuts: readonly Cut[],
    pieces: readonly (Piece & { readonly head: KnownHead })[],
  ): Promise<Slab[] | Unread> {
    const first = pieces[0]!.first;
    const reads = pieces.map((piece) => {
      const at = piece.first - first;
      const buffers = slabs.slice(at, at + piece.count).map((slab) => slab.bytes);
      const granule = piece.first - piece.record.firstGranule;
      const block = granule * BLOCKS_PER_GRANULE + cuts[at]!.blocksStart / CHECK_BLOCK_BYTES;
      return this.#parts.reader.blocks(piece.record, piece.head, block, buffers);
    });
    const unread = (await Promise.all(reads)).find((answer) => answer !== true);
    if (!unread) return slabs.map((slab, index) => cutSlab(slab, cuts[index]!));
    for (const slab of slabs) slab.release();
    return unread;
  }

  /** A read of the page, found here or in memory, or missed: what retention learns from. Parts of one page count once. */
  noteUse(page: Page, found: boolean): void {
    const { retention } = this.#parts;
    if (found) retention.onHit(page);
    else retention.onMiss(page);
  }

  /**
   * Offers a run to the disk; false where it is declined. The queue retains the run while it needs it, and then calls
   * `onWritten`, whether it was written or given up.
   */
  insert(run: VerifiedRun, options?: OfferOptions): boolean {
    const { retention, queue, set, keys, metrics, quotaBytes } = this.#parts;
    const { page } = run;
    if (!isCacheable(page)) return false;
    // A page that is there in part was admitted before; one that is too large for the cache is none of the policy's.
    if (set.index.find(keys.of(page), page.pageId) < 0 && !queue.isTooLarge(run)) {
      const full = !queue.hasRoomFor(run) || set.namespaceBytes(page.ns) + page.len > quotaBytes;
      if (retention.admit(page, { full, residentPages: set.index.count }) === 'decline') {
        metrics.add('seekfs_l2_declined_total', 1, { reason: 'policy' });
        return false;
      }
    }
    return queue.offer(run, options);
  }

  /** As `PageCache.keepsAhead`, on disk. */
  keepsAhead(page: Page): boolean {
    const { retention, capacity, set } = this.#parts;
    return isCacheable(page) && retention.admits(page, { full: capacity.full, residentPages: set.index.count });
  }

  get maintenance(): Maintenance {
    return this.#parts.maintenance;
  }

  /** The bound, and what counts against it: segments' bytes, and what open ones have reserved. */
  get use(): { capacityBytes: number; usedBytes: number } {
    const { capacity, set } = this.#parts;
    return { capacityBytes: capacity.capacityBytes, usedBytes: set.boundBytes };
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
    await this.#parts.maintenance.close();
    await this.#parts.set.close();
  }
}
