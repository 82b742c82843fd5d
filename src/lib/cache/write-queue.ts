// The queue of verified runs that are written to the log behind the readers' backs; the memory governor bounds it. Owns
// what happens when the disk refuses or stands still: it declines for a while, warns once, and tries again; runs that
// were fetched to be here wait for the disk, as long as no reader waits for their memory.
import { systemErrorCode } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { MemoryGovernor } from '../base/memory.ts';
import type { Cell, Metrics } from '../base/metrics.ts';
import { MIB } from '../base/units.ts';
import { CHECK_BLOCK_BYTES, GRANULE_BYTES, granuleCount } from '../page/page.ts';
import type { VerifiedRun } from '../page/verified.ts';
import { ALIGNED_PAYLOAD_BYTES_MIN, recordRoomBytes } from '../segment/writer.ts';
import type { CapacityGuard } from './capacity.ts';
import type { LogWriter, PageAppend } from './log-writer.ts';
import { encodeItem, ITEM_BYTES, itemOf, PAGE_RECORD_KIND, type FileKeys } from './page-key.ts';
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
 * When so much of the memory waits to be written and a reader waits for memory, the page cache does not keep up with what
 * readers bring: for a while what waits is then written together, many runs at once, and past it. Sooner it would take the
 * processor from readers who may have all they want before the memory is full.
 */
const BEHIND_MEMORY_SHARE = 1 / 2;
const BEHIND_FOR_MS = 10_000;
const BURST_BYTES_MIN = 16 * MIB;
const BURST_BYTES_MAX = 64 * MIB;
/** The memory of one burst is not free before all of it is written. */
const BURST_MEMORY_SHARE = 1 / 8;
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
  readonly roomBytes: number;
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
  #behindUntilMs = Number.NEGATIVE_INFINITY;
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
    const roomBytes = this.#roomFor(run);
    this.#runs.push({ run: run.retain(), roomBytes, patient: options.patient, onWritten: options.onWritten });
    this.#queuedBytes += roomBytes;
    this.#working ??= this.#work();
    return true;
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

  #roomFor({ page, bytes }: VerifiedRun): number {
    const { group } = this.#parts.keys.of(page);
    return recordRoomBytes({ group, item: { length: ITEM_BYTES } }, bytes);
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

  async #work(): Promise<void> {
    // In a later turn, so that `offer` returns before anything is done.
    await Promise.resolve();
    const done = new AbortController();
    if (!this.#failing) this.#movedAtMs = this.#parts.clock.monotonicMs();
    void this.#watch(done.signal);
    while (this.#runs.length > 0) {
      if (await this.#writeBurst()) continue;
      const next = this.#runs.shift();
      if (!next) break;
      try {
        while (!(await this.#tryWrite(next))) await this.#partOfPause();
      } finally {
        this.#finish(next);
        this.#stalled = false;
      }
    }
    done.abort();
    this.#working = undefined;
  }

  /**
   * Writes many of those that wait together. What cannot be written so goes back to the head of the queue: run by run errors and
   * want of room are borne.
   * @returns whether there was a burst, and all of it is written
   */
  async #writeBurst(): Promise<boolean> {
    const { writer, clock } = this.#parts;
    const burst = this.#takeBurst();
    if (burst.length === 0) return false;
    const records = burst.map(({ run }) => this.#missingRecords(run));
    const appends = records.flat();
    let done = 0;
    try {
      for (let count = 1; count > 0 && done < appends.length; done += count) {
        count = await writer.append(appends.slice(done), { direct: true });
        this.#wrote(appends.slice(done, done + count));
        this.#movedAtMs = clock.monotonicMs();
      }
    } catch {
      await writer.abandon();
    }
    let left = done;
    const begun = records.findIndex(({ length }) => (left -= length) < 0);
    const written = burst.splice(0, begun < 0 ? burst.length : begun);
    for (const offered of written) this.#finish(offered);
    this.#runs.unshift(...burst);
    this.#stalled = false;
    return burst.length === 0;
  }

  /** Takes the runs at the head of the queue that are to be written together; none where they are to be written one by one. */
  #takeBurst(): Offered[] {
    const { quotaBytes, memory, clock } = this.#parts;
    const nowMs = clock.monotonicMs();
    const isBehind = memory.waiting > 0 && this.#queuedBytes >= memory.limitBytes * BEHIND_MEMORY_SHARE;
    if (isBehind) this.#behindUntilMs = nowMs + BEHIND_FOR_MS;
    // A quota is looked at run by run.
    if (quotaBytes < Infinity || this.#isPaused() || nowMs >= this.#behindUntilMs) return [];
    const bytesMax = Math.min(BURST_BYTES_MAX, memory.limitBytes * BURST_MEMORY_SHARE);
    let [count, bytes] = [0, 0];
    for (const { run, patient } of this.#runs) {
      if (patient || run.bytes < ALIGNED_PAYLOAD_BYTES_MIN || bytes + run.bytes > bytesMax) break;
      count += 1;
      bytes += run.bytes;
    }
    return bytes < BURST_BYTES_MIN ? [] : this.#runs.splice(0, count);
  }

  #finish({ run, roomBytes, onWritten }: Offered): void {
    this.#queuedBytes -= roomBytes;
    run.release();
    onWritten?.();
  }

  /** False where the run is to be tried again when the pause is over. */
  async #tryWrite({ run, patient }: Offered): Promise<boolean> {
    const { clock, metrics, writer } = this.#parts;
    if (!this.#isPaused()) {
      try {
        await this.#write(run);
        this.#movedAtMs = clock.monotonicMs();
        return true;
      } catch (error) {
        await writer.abandon();
        this.#failed(error);
      }
    }
    if (patient && this.#isWorthWaiting()) return false;
    metrics.add('seekfs_l2_declined_total', 1, { reason: this.#pausedFor });
    return true;
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

  async #write(run: VerifiedRun): Promise<void> {
    const { metrics, writer } = this.#parts;
    const records = this.#missingRecords(run);
    if (records.length > 0 && !(await this.#fitsQuota(run.page.ns, run.bytes))) {
      metrics.add('seekfs_l2_declined_total', 1, { reason: 'quota' });
      return;
    }
    for (const record of records) {
      if ((await writer.append([record])) === 0) {
        this.#pause('room');
        metrics.add('seekfs_l2_declined_total', 1, { reason: this.#pausedFor });
        return;
      }
      this.#wrote([record]);
    }
  }

  /** One for each stretch of granules of the run that are not there yet. */
  #missingRecords({ page, span, slabs, blockCrcs }: VerifiedRun): PageAppend[] {
    const { set, keys, clock } = this.#parts;
    const key = keys.of(page);
    const held = bitsOf(recordsOf(set.index, key, page.pageId), granuleCount(page));
    return [...held.missingRuns(span.first, span.count)].map((stretch) => {
      const at = stretch.first - span.first;
      const payload = slabs.slice(at, at + stretch.count).map((slab) => slab.bytes);
      const payloadBytes = payload.reduce((sum, bytes) => sum + bytes.length, 0);
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

  #wrote(appends: readonly PageAppend[]): void {
    const { set, metrics, log } = this.#parts;
    if (appends.length === 0) return;
    for (const { record } of appends) metrics.add('seekfs_l2_written_bytes_total', record.payloadBytes);
    if (this.#failing) log.log('info', `the cache in ${set.directoryPath} takes pages again`);
    this.#failing = false;
    this.#pauseMs = 0;
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
