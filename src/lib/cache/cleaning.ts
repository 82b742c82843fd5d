// One run of maintenance under the lock: ends the segments of dead writers, evicts, compacts and merges. Pages are
// written again, and durable, before the segment that held them is removed; so a holder of the lock that slept through
// a takeover does no harm by going on.
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { systemErrorCode } from '../base/errors.ts';
import type { Cell, Metrics } from '../base/metrics.ts';
import { MIB } from '../base/units.ts';
import { modifiedAtMs, type Disk } from '../disk/disk.ts';
import {
  parseProcessIdentity,
  sharesProcessNumbers,
  type Processes,
  type ProcessIdentity,
} from '../disk/process-identity.ts';
import { formatSegmentName } from '../segment/names.ts';
import type { CapacityGuard } from './capacity.ts';
import type { LogWriter } from './log-writer.ts';
import { indexed, viewOf, type IsDead, type LiveRecord, type View } from './live-records.ts';
import { planEviction } from './policy/eviction.ts';
import type { Retention } from './policy/retention.ts';
import type { Rewriter } from './rewriter.ts';
import type { Segment, SegmentSet } from './segment-set.ts';

/** Segments whose records are looked at for one eviction: so many of the oldest, and as many spread over the others. */
const CANDIDATES_MAX = 16;
/** A segment of which less than this share is live is written again. */
const LIVE_SHARE_MIN = 0.5;
/** So many segments that are shorter than a quarter of the full size are merged. */
const SHORT_SEGMENTS_MAX = 8;
const SHORT_SHARE = 0.25;
const COMPACT_BYTES_PER_SEC = 256 * MIB;
/** While pages are read, compaction waits in such steps, but no longer than this for each record. */
const YIELD_MS = 5;
const YIELD_MS_MAX = 250;
/** The open segment of a writer whom nobody here can ask for is taken to be abandoned after so long without a byte. */
const SILENT_WRITER_MS = 600_000;

/** What a run works with. */
export interface CleaningParts {
  readonly disk: Disk;
  readonly set: SegmentSet;
  readonly processes: Processes;
  readonly capacity: CapacityGuard;
  readonly writer: LogWriter;
  readonly rewriter: Rewriter;
  readonly retention: Retention;
  readonly isDead: IsDead;
  readonly stillHeld: () => Promise<boolean>;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Reads of the cache by this process. */
  readonly reads: ReadActivity;
  /** Which of the younger segments the next eviction looks at; goes on from run to run. */
  readonly hand: Cell;
  /** Aborted when the process wants to end: compaction stops at the next record. */
  readonly signal: AbortSignal;
}

export interface ReadActivity {
  /** So far. */
  begun: number;
  underWay: number;
}

export interface CleanResult {
  /** Segments removed and bytes that this gave back, what was written again taken off. */
  readonly removedSegments: number;
  readonly freedBytes: number;
  readonly rewrittenBytes: number;
  readonly droppedRecords: number;
}

export class Cleaning {
  readonly #parts: CleaningParts;
  #removedSegments = 0;
  #freedBytes = 0;
  #rewrittenBytes = 0;
  #droppedRecords = 0;

  constructor(parts: CleaningParts) {
    this.#parts = parts;
  }

  result(): CleanResult {
    return {
      removedSegments: this.#removedSegments,
      freedBytes: this.#freedBytes - this.#rewrittenBytes,
      rewrittenBytes: this.#rewrittenBytes,
      droppedRecords: this.#droppedRecords,
    };
  }

  /** Gives the open segments of dead writers their final name, which frees what they had reserved. */
  async endAbandoned(): Promise<void> {
    const { set, disk } = this.#parts;
    let ended = false;
    for (const segment of set) {
      if (segment.own || segment.name.kind === 'sealed' || !(await this.#isAbandoned(segment))) continue;
      const from = join(set.directoryPath, segment.fileName);
      const to = join(set.directoryPath, formatSegmentName({ kind: 'sealed', idHex: segment.idHex }));
      await disk.rename(from, to).catch((error: unknown) => {
        if (systemErrorCode(error) !== 'ENOENT') throw error;
      });
      ended = true;
    }
    if (ended) await set.refreshAnew();
  }

  async #isAbandoned(segment: Segment): Promise<boolean> {
    const { disk, set, clock, processes } = this.#parts;
    const self = await processes.current();
    const owner = parseOwner(await set.ownerOf(segment));
    if (owner && sharesProcessNumbers(self, owner)) return !(await processes.isRunning(owner));
    const stat = await disk.stat(join(set.directoryPath, segment.fileName)).catch(() => undefined);
    return stat !== undefined && clock.nowMs() - modifiedAtMs(stat) > SILENT_WRITER_MS;
  }

  /** Removes segments, best first, until `enough`; what is hot in them is written again. */
  async evict(enough: () => Promise<boolean>): Promise<void> {
    const scoreOf = (live: LiveRecord): number => this.#parts.retention.score(live);
    for (let oldest = this.#oldest(); oldest.length > 0 && !(await enough()); oldest = this.#oldest()) {
      const views: View[] = [];
      for (const segment of this.#candidates(oldest)) {
        const view = await this.#view(segment);
        if (view) views.push(view);
      }
      // First what is dead, as long as that pays for writing the rest again.
      const ofDead = planEviction<LiveRecord, View>(views, () => 1);
      const plan =
        ofDead?.survivors.length === ofDead?.victim.records.length
          ? ofDead
          : planEviction<LiveRecord, View>(views, scoreOf);
      if (!plan) return;
      const before = this.#rewrittenBytes;
      if ((await this.#remove(plan.victim, plan.survivors, 'evict')) !== 'removed') return;
      // Damage and full disks aside this cannot be; it keeps a defect from turning into an endless loop.
      if (this.#rewrittenBytes - before >= plan.victim.fileBytes) return;
    }
  }

  /** Removes pages of one namespace until `enough`; what others have in the same segments is written again. */
  async shrink(ns: string, enough: () => boolean): Promise<void> {
    const { retention, set } = this.#parts;
    while (!enough()) {
      const before = set.namespaceBytes(ns);
      const bytesIn = (segment: Segment): number => segment.namespaces.get(ns) ?? 0;
      const [fullest] = this.#oldest().sort((a, b) => bytesIn(b) - bytesIn(a));
      const view = fullest && (await this.#view(fullest));
      if (!view || bytesIn(fullest) === 0) return;
      const scored = view.records
        .filter((live) => live.ns === ns)
        .map((live) => ({ live, score: retention.score(live) }))
        .sort((a, b) => a.score - b.score);
      // All that is cold, and at least a quarter, so that each step makes progress.
      const cold = scored.filter(({ score }, index) => score <= 0 || index < scored.length / 4);
      const dropped = new Set(cold.map(({ live }) => live));
      const survivors = view.records.filter((live) => !dropped.has(live));
      if ((await this.#remove(view, survivors, 'compact')) !== 'removed' || set.namespaceBytes(ns) >= before) return;
    }
  }

  /** Writes again what is live in segments that are mostly dead, and in short ones when there are many. */
  async compact(which: 'all' | 'short'): Promise<void> {
    const { capacity, signal } = this.#parts;
    const all = this.#oldest();
    const short = all.filter((segment) => segment.sizeBytes < capacity.segmentBytes * SHORT_SHARE);
    const merged = new Set(short.length >= SHORT_SEGMENTS_MAX ? short : []);
    for (const segment of which === 'all' ? all : merged) {
      if (signal.aborted) return;
      if (!merged.has(segment) && !(await this.#isSparse(segment))) continue;
      const view = await this.#view(segment);
      if (view && (await this.#remove(view, view.records, 'compact')) === 'stop') return;
    }
  }

  async #isSparse(segment: Segment): Promise<boolean> {
    const liveBytes = (await this.#view(segment, { list: false }))?.liveBytes ?? Number.POSITIVE_INFINITY;
    return liveBytes < segment.sizeBytes * LIVE_SHARE_MIN && segment.sizeBytes > liveBytes + 4096;
  }

  /** Writes again what is intact in these segments, and removes them with what is not. */
  async replace(idsHex: ReadonlySet<string>): Promise<void> {
    for (const segment of this.#oldest()) {
      if (!idsHex.has(segment.idHex)) continue;
      const view = await this.#view(segment);
      if (view && (await this.#remove(view, view.records, 'compact')) === 'stop') return;
    }
  }

  /** What was used last lies in young segments as a rule, but what is dead may lie in any. */
  #candidates(oldest: readonly Segment[]): Segment[] {
    const { hand } = this.#parts;
    const others = oldest.slice(CANDIDATES_MAX);
    const count = Math.min(CANDIDATES_MAX, others.length);
    const spread = Array.from({ length: count }, (_, index) => {
      const at = Math.floor((index * others.length) / count) + hand.value;
      return others[at % others.length]!;
    });
    hand.value += 1;
    return [...oldest.slice(0, CANDIDATES_MAX), ...spread];
  }

  #oldest(): Segment[] {
    const ended = [...this.#parts.set].filter((segment) => segment.complete && !segment.own);
    return ended.sort((a, b) => a.createdAtMs - b.createdAtMs);
  }

  #view(segment: Segment, options: { readonly list: boolean } = { list: true }): Promise<View | undefined> {
    const { set, isDead } = this.#parts;
    const onDead = (): void => {
      this.#droppedRecords += 1;
    };
    return viewOf(set, segment, { isDead, onDead, ...options });
  }

  /**
   * Writes the survivors again, makes them durable, and removes the segment. Compaction keeps a segment that it cannot
   * read now; eviction does not, or one bad sector would end all evictions.
   */
  async #remove(
    view: View,
    survivors: readonly LiveRecord[],
    why: 'evict' | 'compact',
  ): Promise<'removed' | 'kept' | 'stop'> {
    const { set, disk, rewriter, writer, retention, metrics, stillHeld, signal } = this.#parts;
    const kept = new Set<LiveRecord>();
    for (const live of survivors) {
      const record = indexed(set.index, live, view.segment);
      // Else joined with another record of its page that was written again before.
      const rewritten = record ? await rewriter.rewrite(record) : 'written';
      if (rewritten === 'written') kept.add(live);
      else if (rewritten === 'no-room' && why === 'compact') return 'stop';
      else if (rewritten === 'failed' && why === 'compact') return 'kept';
      if (!record || rewritten !== 'written') continue;
      this.#rewrittenBytes += live.bytes;
      if (why === 'compact' && signal.aborted) return 'stop';
      // Somebody waits for an eviction; compaction has time, and leaves the disk to readers.
      if (why === 'compact') await this.#yieldToReaders(live.bytes);
    }
    await writer.sync();
    if (!(await stillHeld())) return 'stop';
    await disk.remove(join(set.directoryPath, view.segment.fileName)).catch((error: unknown) => {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    });
    for (const live of view.records) {
      if (kept.has(live)) continue;
      this.#droppedRecords += 1;
      retention.onDrop(live);
    }
    set.forget(view.segment);
    this.#removedSegments += 1;
    this.#freedBytes += view.fileBytes;
    metrics.add('seekfs_l2_evicted_bytes_total', view.fileBytes);
    return 'removed';
  }

  /** The rate limit is for readers in other processes; those of this one are seen. */
  async #yieldToReaders(writtenBytes: number): Promise<void> {
    const { reads, clock, signal } = this.#parts;
    let seen = reads.begun;
    await clock.sleep((writtenBytes / COMPACT_BYTES_PER_SEC) * 1000);
    for (let waitedMs = 0; waitedMs < YIELD_MS_MAX && !signal.aborted; waitedMs += YIELD_MS) {
      if (reads.underWay === 0 && reads.begun === seen) return;
      seen = reads.begun;
      await clock.sleep(YIELD_MS);
    }
  }
}

/** Whether there are so many short segments that merging them pays. */
export function manyShort(set: SegmentSet, capacity: CapacityGuard): boolean {
  const shortBytes = capacity.segmentBytes * SHORT_SHARE;
  let count = 0;
  for (const segment of set) if (segment.complete && segment.sizeBytes < shortBytes) count += 1;
  return count >= SHORT_SEGMENTS_MAX;
}

/** The owner text of a segment header is the JSON of its writer's identity. */
function parseOwner(owner: string | undefined): ProcessIdentity | undefined {
  try {
    return parseProcessIdentity(JSON.parse(owner ?? ''));
  } catch {
    return undefined;
  }
}
