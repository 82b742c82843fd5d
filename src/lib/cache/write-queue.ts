// The queue of verified runs that are written to the log behind the readers' backs; the memory governor bounds it. Owns
// what happens when the disk refuses or stands still: it declines for a while, warns once, and tries again; runs that
// were fetched to be here wait for the disk, as long as no reader waits for their memory.
import { systemErrorCode } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { MemoryGovernor } from '../base/memory.ts';
import type { Cell, Metrics } from '../base/metrics.ts';
import { KIB, MIB } from '../base/units.ts';
import { CHECK_BLOCK_BYTES, GRANULE_BYTES, granuleCount } from '../page/page.ts';
import type { VerifiedRun } from '../page/verified.ts';
import { recordRoomBytes } from '../segment/writer.ts';
import type { CapacityGuard } from './capacity.ts';
import type { LogWriter, PageAppend, RecordSize } from './log-writer.ts';
import { encodeItem, itemOf, PAGE_RECORD_KIND, type FileKeys } from './page-key.ts';
import type { ExpectedRun } from './page-cache.ts';
import { bitsOf, recordsOf } from './pieces.ts';
import type { SegmentSet } from './segment-set.ts';

const STALL_MS = 1000;
/** A look at the disk that comes later than this says more of this process than of the disk. */
const LOOK_LATE_MS_MAX = STALL_MS / 4;
/** How long runs wait for a disk that takes nothing while no reader waits for their memory: on busy machines it comes back. */
export const WAIT_MS = 5000;
/** The same of patient runs. */
export const PATIENCE_MS = 30_000;
/** Errors that do not pass by themselves: nobody waits for their end. */
const LASTING = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT', 'ENOTDIR', 'ENOENT']);
/**
 * When so much waits that readers brought in small runs, more comes in a turn of the event loop than one run, and a write ends
 * once a turn: then what waits is written together, up to so much and a part of the memory, and past the page cache.
 */
const BURST_BYTES_MIN = 16 * MIB;
const BURST_BYTES_MAX = 64 * MIB;
const BURST_MEMORY_SHARE = 1 / 8;
/** Smaller ones cannot go past the page cache, larger ones keep up by themselves. */
const BURST_RUN_BYTES_MIN = 256 * KIB;
const BURST_RUN_BYTES_MAX = MIB;
const PAUSE_MS_MIN = 500;
const PAUSE_MS_MAX = 30_000;

export interface WriteQueueParts {
  readonly set: SegmentSet;
  readonly writer: LogWriter;
  readonly keys: FileKeys;
  readonly memory: MemoryGovernor;
  readonly capacity: CapacityGuard;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Changes as long as the disk takes records, those of maintenance included. */
  readonly progress: Cell;
  /** Bound of the bytes of any one namespace; Infinity for none. */
  readonly quotaBytes: number;
  /** Evicts pages of the namespace until it takes so many bytes, as far as that can be. */
  readonly shrink: (ns: string, bytes: number) => Promise<void>;
}

export interface OfferOptions {
  /** Nobody wants the bytes but the cache: the fetches behind it wait rather than that it is given up. */
  readonly patient?: boolean | undefined;
  readonly onWritten?: (() => void) | undefined;
}

interface Offered extends OfferOptions {
  readonly run: VerifiedRun;
}

export class WriteQueue {
  readonly #parts: WriteQueueParts;
  readonly #runs: Offered[] = [];
  #stalled = false;
  #working: Promise<void> | undefined;
  #closed = false;
  #pauseMs = 0;
  #failing = false;
  #pausedFor: 'room' | 'disk' = 'room';
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  #mayPass = true;
  /** Room that what waits, or is written now, takes of segments. */
  #queuedBytes = 0;
  /** When the disk last took something, or was not asked to. */
  #movedAtMs = 0;

  constructor(parts: WriteQueueParts) {
    this.#parts = parts;
  }

  /** Takes the run, retaining it until it is written or given up and calling `onWritten` then, or declines it. */
  offer(run: VerifiedRun, options: OfferOptions = {}): boolean {
    const { metrics } = this.#parts;
    const isStalled = this.#stalled && !options.patient;
    const isPaused = this.#isPaused() && !(options.patient && this.#isWorthWaiting());
    if (this.#closed || isStalled || isPaused || this.isTooLarge(run)) {
      const reason = isStalled ? 'stalled' : isPaused ? this.#pausedFor : 'size';
      metrics.add('seekfs_l2_declined_total', 1, { reason });
      return false;
    }
    this.#runs.push({ run: run.retain(), ...options });
    this.#queuedBytes += this.#roomFor(run);
    this.#working ??= this.#work();
    return true;
  }

  /** Granules that are fetched now will be offered, and there is room for them: makes ready for them meanwhile. */
  expect({ page, span, bytes }: ExpectedRun): void {
    const { writer, capacity, keys } = this.#parts;
    if (this.#working || this.#closed || this.#isPaused() || writer.openRoomBytes > 0) return;
    const record = { group: keys.of(page).group, item: encodeItem(itemOf(page, span.first)), payloadBytes: bytes };
    const recordBytes = recordRoomBytes(record, bytes);
    if (recordBytes > capacity.recordBytesMax || !capacity.hasRoomFor({ recordBytes, queuedBytes: 0 })) return;
    this.#working = this.#work(record);
  }

  /** Is the cache too small for the run, however much of it is free? */
  isTooLarge(run: VerifiedRun): boolean {
    return run.bytes > this.#parts.capacity.recordBytesMax;
  }

  /** Is there room for the run, after all that waits, without an eviction? */
  hasRoomFor(run: VerifiedRun): boolean {
    const { writer, capacity } = this.#parts;
    const recordBytes = this.#roomFor(run);
    const queuedBytes = this.#queuedBytes;
    return queuedBytes + recordBytes <= writer.openRoomBytes || capacity.hasRoomFor({ recordBytes, queuedBytes });
  }

  #roomFor({ page, span, bytes }: VerifiedRun): number {
    const { group } = this.#parts.keys.of(page);
    return recordRoomBytes({ group, item: encodeItem(itemOf(page, span.first)) }, bytes);
  }

  /** Resolves when what was offered so far is written, or was given up. */
  async drain(): Promise<void> {
    while (this.#working) await this.#working;
    try {
      await this.#parts.writer.settle();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Drains, and seals the segment that is open. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.drain();
    try {
      await this.#parts.writer.seal({ durable: false });
    } catch (error) {
      this.#failed(error);
    }
  }

  async #work(expected?: RecordSize): Promise<void> {
    // In a later turn, so that `offer` returns before anything is done.
    await Promise.resolve();
    const done = new AbortController();
    if (!this.#failing) this.#movedAtMs = this.#parts.clock.monotonicMs();
    void this.#watch(done.signal);
    // Whoever has something to write meets its error again.
    if (expected) await this.#parts.writer.begin(expected).catch(() => undefined);
    for (let batch = this.#nextBatch(); batch.length > 0; batch = this.#nextBatch()) {
      try {
        while (!(await this.#tryWrite(batch))) await this.#partOfPause();
      } finally {
        for (const offered of batch) this.#finish(offered);
        this.#stalled = false;
      }
    }
    done.abort();
    this.#working = undefined;
  }

  /** What is written next: the run that waits longest, or in a burst those after it as well, no granule twice. */
  #nextBatch(): Offered[] {
    const { quotaBytes, memory } = this.#parts;
    const first = this.#runs.slice(0, 1);
    const bytesMax = Math.min(BURST_BYTES_MAX, memory.limitBytes * BURST_MEMORY_SHARE);
    const burst: Offered[] = [];
    let bytes = 0;
    // A quota is looked at between runs.
    for (const offered of quotaBytes < Infinity ? [] : this.#runs) {
      const { run, patient } = offered;
      const isSmall = run.bytes >= BURST_RUN_BYTES_MIN && run.bytes <= BURST_RUN_BYTES_MAX;
      if (patient || !isSmall || bytes + run.bytes > bytesMax || burst.some((one) => overlap(one.run, run))) break;
      burst.push(offered);
      bytes += run.bytes;
    }
    const batch = bytes >= BURST_BYTES_MIN ? burst : first;
    this.#runs.splice(0, batch.length);
    return batch;
  }

  #finish({ run, onWritten }: Offered): void {
    this.#queuedBytes -= this.#roomFor(run);
    run.release();
    onWritten?.();
  }

  /** False where the runs are to be tried again when the pause is over. */
  async #tryWrite(batch: readonly Offered[]): Promise<boolean> {
    const { clock, writer } = this.#parts;
    if (!this.#isPaused()) {
      try {
        await this.#write(batch);
        this.#movedAtMs = clock.monotonicMs();
        return true;
      } catch (error) {
        await writer.abandon();
        this.#failed(error);
      }
    }
    if (batch[0]?.patient && this.#isWorthWaiting()) return false;
    this.#declined(this.#pausedFor, batch.length);
    return true;
  }

  #declined(reason: string, runs: number): void {
    this.#parts.metrics.add('seekfs_l2_declined_total', runs, { reason });
  }

  #isPaused(): boolean {
    return this.#parts.clock.monotonicMs() < this.#pausedUntilMs;
  }

  /** Is the pause one that a patient run sits out? Not when a reader waits for the memory that it holds. */
  #isWorthWaiting(): boolean {
    const { clock, memory } = this.#parts;
    if (this.#pausedFor === 'room' || !this.#mayPass || this.#closed || memory.waiting > 0) return false;
    return clock.monotonicMs() - this.#movedAtMs < PATIENCE_MS;
  }

  /** In steps, because a reader may come who needs the memory. */
  #partOfPause(): Promise<void> {
    const { clock } = this.#parts;
    return clock.sleep(Math.max(1, Math.min(PAUSE_MS_MIN, this.#pausedUntilMs - clock.monotonicMs())));
  }

  /**
   * What waits here holds memory, and so slows the fetches down to the speed of the disk. When the disk has stopped that
   * would stop the readers as well: then everything that waits is given up, when a reader waits for memory or its time is
   * over.
   */
  async #watch(done: AbortSignal): Promise<void> {
    const { progress, clock, metrics, memory } = this.#parts;
    for (let stillMs = 0; ;) {
      const before = progress.value;
      const beganMs = clock.monotonicMs();
      await clock.sleep(STALL_MS, done).catch(() => undefined);
      if (done.aborted) return;
      // Who was not run for a while has not yet heard of what the disk finished meanwhile.
      if (clock.monotonicMs() - beganMs > STALL_MS + LOOK_LATE_MS_MAX) continue;
      stillMs = progress.value === before ? stillMs + STALL_MS : 0;
      if (stillMs === 0) continue;
      const waitedMs = memory.waiting > 0 ? Infinity : stillMs;
      this.#stalled = waitedMs >= WAIT_MS;
      for (const offered of this.#runs.splice(0)) {
        if (waitedMs < (offered.patient ? PATIENCE_MS : WAIT_MS)) {
          this.#runs.push(offered);
          continue;
        }
        metrics.add('seekfs_l2_declined_total', 1, { reason: 'stalled' });
        this.#finish(offered);
      }
    }
  }

  async #write(batch: readonly Offered[]): Promise<void> {
    const { set, metrics, writer, log } = this.#parts;
    const appends: PageAppend[] = [];
    for (const { run } of batch) {
      const missing = await this.#missingRecords(run);
      if (missing) appends.push(...missing);
      else this.#declined('quota', 1);
    }
    const batchBytes = batch.reduce((sum, { run }) => sum + this.#roomFor(run), 0);
    const waitingBytes = batch.length > 1 ? (): number => this.#queuedBytes - batchBytes : undefined;
    const appended = await writer.append(appends, { waitingBytes });
    for (const { record } of appends.slice(0, appended)) {
      metrics.add('seekfs_l2_written_bytes_total', record.payloadBytes);
    }
    if (appended > 0) {
      if (this.#failing) log.log('info', `the cache in ${set.directoryPath} takes pages again`);
      this.#failing = false;
      this.#pauseMs = 0;
    }
    if (appended === appends.length) return;
    this.#pause('room');
    this.#declined(this.#pausedFor, appends.length - appended);
  }

  /** Of the granules of the run that are not there yet, one for each stretch of them; undefined where the quota is reached. */
  async #missingRecords({ page, span, bytes, slabs, blockCrcs }: VerifiedRun): Promise<PageAppend[] | undefined> {
    const { set, keys, clock } = this.#parts;
    const key = keys.of(page);
    const held = bitsOf(recordsOf(set.index, key, page.pageId), granuleCount(page));
    if (!held.complete && !(await this.#fitsQuota(page.ns, bytes))) return undefined;
    return [...held.missingRuns(span.first, span.count)].map((stretch) => {
      const at = stretch.first - span.first;
      const payload = slabs.slice(at, at + stretch.count).map((slab) => slab.bytes);
      const payloadBytes = payload.reduce((sum, piece) => sum + piece.length, 0);
      const firstBlock = at * (GRANULE_BYTES / CHECK_BLOCK_BYTES);
      const record = {
        kind: PAGE_RECORD_KIND,
        group: key.group,
        item: encodeItem(itemOf(page, stretch.first)),
        payloadBytes,
        writtenAtMs: clock.nowMs(),
        blockCrcs: blockCrcs.subarray(firstBlock, firstBlock + Math.ceil(payloadBytes / CHECK_BLOCK_BYTES)),
      };
      return { key, record, payload };
    });
  }

  async #fitsQuota(ns: string, bytes: number): Promise<boolean> {
    const { quotaBytes, set, writer, shrink } = this.#parts;
    const boundBytes = quotaBytes - bytes;
    if (set.namespaceBytes(ns) <= boundBytes) return true;
    if (boundBytes < 0) return false;
    // What lies in the open segment can only go once that has ended.
    await writer.seal({ durable: false });
    await shrink(ns, boundBytes);
    return set.namespaceBytes(ns) <= boundBytes;
  }

  #failed(error: unknown): void {
    const { metrics, log, set } = this.#parts;
    metrics.add('seekfs_l2_write_failures_total');
    if (!this.#failing) {
      const reason = systemErrorCode(error) ?? String(error);
      log.log('warn', `cannot write to the cache in ${set.directoryPath} (${reason}): reading through`);
    }
    this.#failing = true;
    this.#mayPass = !LASTING.has(systemErrorCode(error) ?? '');
    this.#pause('disk');
  }

  #pause(why: 'room' | 'disk'): void {
    this.#pausedFor = why;
    this.#pauseMs = Math.min(PAUSE_MS_MAX, Math.max(PAUSE_MS_MIN, this.#pauseMs * 2));
    this.#pausedUntilMs = this.#parts.clock.monotonicMs() + this.#pauseMs;
  }
}

function overlap(a: VerifiedRun, b: VerifiedRun): boolean {
  if (a.page.pageId !== b.page.pageId || a.page.path !== b.page.path || a.page.ns !== b.page.ns) return false;
  return a.span.first < b.span.first + b.span.count && b.span.first < a.span.first + a.span.count;
}
