// When maintenance runs, and that one process at a time does it: takes the lock, has a run of cleaning done, and writes
// the checkpoint when enough has changed. Used by the write queue and by the commands that maintain.
import { basename } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { isSeekfsError, SeekfsError, systemErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Disk } from '../disk/disk.ts';
import { TAKEOVER_WAIT_MS, type LockFile } from '../disk/lock-file.ts';
import type { Processes } from '../disk/process-identity.ts';
import { parseSegmentName } from '../segment/names.ts';
import type { CapacityGuard } from './capacity.ts';
import type { Finding } from './check.ts';
import { Cleaning, manyShort, type CleanResult, type ReadActivity } from './cleaning.ts';
import { findMisplaced, type CacheLayout } from './layout.ts';
import type { IsDead } from './live-records.ts';
import type { LogWriter } from './log-writer.ts';
import type { Retention } from './policy/retention.ts';
import type { Rewriter } from './rewriter.ts';
import type { SegmentSet } from './segment-set.ts';

const LOCK_WAIT_MS_MAX = 2000;
/** A checkpoint is due when so many records, and a tenth of all, or so many segments are not in the last one. */
const UNSAVED_RECORDS_MAX = 4096;
const UNSAVED_SHARE_MAX = 0.1;
const UNSAVED_SEGMENTS_MAX = 64;

export interface MaintenanceParts {
  readonly disk: Disk;
  readonly set: SegmentSet;
  readonly lock: LockFile;
  readonly processes: Processes;
  readonly layout: CacheLayout;
  readonly capacity: CapacityGuard;
  /** For one run each, with room of their own. */
  readonly newWriter: () => LogWriter;
  readonly newRewriter: (writer: LogWriter) => Rewriter;
  readonly retention: Retention;
  readonly reads: ReadActivity;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export class Maintenance {
  readonly #parts: MaintenanceParts;
  readonly #closing = new AbortController();
  readonly #hand = { value: 0 };
  #isDead: IsDead = () => false;
  #running: Promise<CleanResult | undefined> | undefined;

  constructor(parts: MaintenanceParts) {
    this.#parts = parts;
  }

  /** What later evictions take for dead. */
  knowDead(isDead: IsDead): void {
    this.#isDead = isDead;
  }

  /**
   * Evicts until `bytes` can be reserved by a writer, or nothing more can go; waits a little for who does it already.
   * @throws system errors of the disk
   */
  async makeRoom(bytes: number): Promise<void> {
    const enough = async (): Promise<boolean> => (await this.#parts.capacity.roomBytes('insert')) >= bytes;
    await this.#alone((cleaning) => cleaning.evict(enough), { waitMsMax: LOCK_WAIT_MS_MAX });
  }

  /**
   * Evicts pages of one namespace, coldest first, until it takes so many bytes or nothing more of it can go.
   * @throws system errors of the disk
   */
  async shrink(ns: string, bytes: number): Promise<void> {
    const enough = (): boolean => this.#parts.set.namespaceBytes(ns) <= bytes;
    await this.#alone((cleaning) => cleaning.shrink(ns, enough), { waitMsMax: LOCK_WAIT_MS_MAX });
  }

  /**
   * Drops dead pages, brings the cache within its capacity, compacts, merges and writes a checkpoint.
   * @returns undefined when another process holds the lock, after `waitMsMax` (default 0)
   * @throws cache_corrupt where a directory lies in place of an index, or the like; system errors of the disk
   */
  async clean(options: { readonly waitMsMax?: number } = {}): Promise<CleanResult | undefined> {
    await this.#refuseMisplaced();
    return this.#alone(
      async (cleaning) => {
        await cleaning.compact('all');
        await cleaning.evict(async () => (await this.#parts.capacity.roomBytes('insert')) >= 0);
      },
      { ...options, checkpoint: true },
    );
  }

  /**
   * Replaces the segments in which a check found damage by new ones with what is intact, and writes the indexes anew.
   * @throws locked when another process keeps the lock; as `clean`
   */
  async repair(damaged: readonly Finding[]): Promise<CleanResult> {
    await this.#refuseMisplaced();
    const names = damaged.map(({ file }) => parseSegmentName(basename(file))?.idHex);
    const idsHex = new Set(names.filter((idHex) => idHex !== undefined));
    const options = { waitMsMax: TAKEOVER_WAIT_MS, checkpoint: true };
    const result = await this.#alone((cleaning) => cleaning.replace(idsHex), options);
    if (result) return result;
    const { directoryPath } = this.#parts.set;
    throw new SeekfsError('locked', `another process maintains ${directoryPath}; try again when it is done`);
  }

  /** What is worth doing now and then, behind everybody's back: merges many short segments, checkpoints when due. */
  async upkeep(): Promise<void> {
    const { set, capacity } = this.#parts;
    const merge = manyShort(set, capacity);
    if (this.#running || this.#closing.signal.aborted || !(merge || this.#checkpointDue())) return;
    await this.#behind((cleaning) => (merge ? cleaning.compact('short') : Promise.resolve()));
  }

  /**
   * Breaks off what can wait and resolves when nothing runs any more. Leaves index.bin to whoever opens the cache next,
   * where that is due: reading it takes a twentieth of the time that all footers take.
   */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running?.catch(() => undefined);
    if (this.#checkpointDue()) await this.#behind(() => Promise.resolve());
  }

  async #refuseMisplaced(): Promise<void> {
    const [first] = await findMisplaced(this.#parts.disk, this.#parts.layout);
    if (first) throw new SeekfsError('cache_corrupt', `cannot maintain the cache: ${first.path} is ${first.detail}`);
  }

  async #behind(work: (cleaning: Cleaning) => Promise<void>): Promise<void> {
    try {
      await this.#alone(work, {});
    } catch (error) {
      this.#brokeOff(error);
    }
  }

  #brokeOff(error: unknown): void {
    const { set, log } = this.#parts;
    const reason = systemErrorCode(error) ?? String(error);
    log.log('info', `maintenance of the cache in ${set.directoryPath} broke off (${reason})`);
  }

  #checkpointDue(): boolean {
    const { unsaved, index } = this.#parts.set;
    const recordsMax = Math.max(UNSAVED_RECORDS_MAX, index.count * UNSAVED_SHARE_MAX);
    return unsaved.records >= recordsMax || unsaved.segments >= UNSAVED_SEGMENTS_MAX;
  }

  /** One run at a time in this process, and with the lock in all of them. */
  async #alone(
    work: (cleaning: Cleaning) => Promise<void>,
    options: { readonly waitMsMax?: number; readonly checkpoint?: boolean },
  ): Promise<CleanResult | undefined> {
    while (this.#running) await this.#running.catch(() => undefined);
    this.#running = this.#locked(work, options).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #locked(
    work: (cleaning: Cleaning) => Promise<void>,
    options: { readonly waitMsMax?: number; readonly checkpoint?: boolean },
  ): Promise<CleanResult | undefined> {
    const { lock, set, newWriter, newRewriter } = this.#parts;
    const held = await lock.acquire({ waitMsMax: options.waitMsMax ?? 0 }).catch((error: unknown) => {
      if (isSeekfsError(error, 'locked')) return undefined;
      throw error;
    });
    if (!held) return undefined;
    const writer = newWriter();
    const cleaning = new Cleaning({
      ...this.#parts,
      writer,
      rewriter: newRewriter(writer),
      isDead: this.#isDead,
      hand: this.#hand,
      stillHeld: () => held.stillHeld(),
      signal: this.#closing.signal,
    });
    try {
      await set.refreshAnew();
      await cleaning.endAbandoned();
      await work(cleaning);
      await writer.seal({ durable: true });
      if (options.checkpoint) await this.#checkpoint();
      else if (this.#checkpointDue()) await this.#checkpointIfPossible();
      return cleaning.result();
    } catch (error) {
      await writer.abandon();
      throw error;
    } finally {
      await held.release().catch(() => undefined);
    }
  }

  async #checkpoint(): Promise<void> {
    const { disk, layout, set, clock } = this.#parts;
    const { writeCheckpoint } = await import('./checkpoint.ts');
    await writeCheckpoint({ disk, paths: layout, set, nowMs: clock.nowMs(), signal: this.#closing.signal });
  }

  /** An index is a hint: who makes room for a page must not fail for it, nor begin it anew for the next one. */
  async #checkpointIfPossible(): Promise<void> {
    const { unsaved } = this.#parts.set;
    try {
      await this.#checkpoint();
    } catch (error) {
      unsaved.records = unsaved.segments = 0;
      this.#brokeOff(error);
    }
  }
}
