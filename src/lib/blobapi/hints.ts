// POST /hints: what will be read soon, fetched behind demand reads, one hint after the other: the higher priority first,
// then the earlier one. The next ones are planned meanwhile, for demand reads to begin. A hint of a later epoch makes those
// of earlier epochs that have not begun pointless.
import { clipRange, mergeRanges } from '../base/byte-range.ts';
import type { Clock } from '../base/clock.ts';
import { SeekfsError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { PinnedVersion } from '../manifest/types.ts';
import type { Reader, WarmTarget } from '../read/reader.ts';
import type { Hint } from './request-body.ts';
import type { VersionLease } from './versions.ts';

/** Ranges that wait, over all hints; more is 503. */
const QUEUED_RANGES_MAX = 100_000;
/** Hints that are planned before their turn, so that a demand read begins what it falls into. */
const PLANNED_AHEAD_MAX = 8;

interface Job {
  readonly lease: VersionLease;
  readonly targets: readonly WarmTarget[];
  readonly epoch: number;
  readonly priority: number;
  /** Monotonic; Infinity without a `ttl_ms`. */
  readonly untilMs: number;
  readonly turn: Deferred;
  readonly stop: AbortController;
  /** Once it is planned. Gives the lease back. */
  work: Promise<void> | undefined;
}

interface Deferred {
  readonly come: Promise<void>;
  readonly resolve: () => void;
}

function deferred(): Deferred {
  let resolve!: () => void;
  const come = new Promise<void>((settle) => (resolve = settle));
  return { come, resolve };
}

/**
 * A window's ranges in the order of the file: a loader names the samples of a shuffled epoch in its own order, and one GET
 * can bring only neighbours.
 * @throws path_not_found, range_not_satisfiable
 */
async function targetsOf(version: PinnedVersion, hint: Hint): Promise<WarmTarget[]> {
  const targets: WarmTarget[] = [];
  for (const { path, ranges } of hint.windows) {
    const entry = await version.lookup(path);
    const asked = ranges.map((range) => clipRange(range, entry.sizeBytes));
    for (const range of mergeRanges(asked)) targets.push({ entry, range });
  }
  return targets;
}

export class HintQueue {
  readonly #reader: () => Promise<Reader>;
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  /** In their order, without the one that runs. */
  #jobs: Job[] = [];
  /** Of jobs that run, are planned or were dropped. */
  readonly #works = new Set<Promise<void>>();
  #running: Promise<void> | undefined;

  constructor(parts: { reader: () => Promise<Reader>; metrics: Metrics; log: Logger; clock: Clock }) {
    this.#reader = parts.reader;
    this.#metrics = parts.metrics;
    this.#log = parts.log;
    this.#clock = parts.clock;
  }

  /**
   * Takes over the caller's reference of the version, unless it throws.
   * @returns the ranges and bytes taken
   * @throws path_not_found, range_not_satisfiable, overloaded
   */
  async add(lease: VersionLease, hint: Hint): Promise<{ ranges: number; bytes: number }> {
    const targets = await targetsOf(lease.pinned, hint);
    this.#dropOlder(lease.pinned.ns, hint.epoch);
    const queued = this.#jobs.reduce((sum, job) => sum + job.targets.length, 0);
    if (queued + targets.length > QUEUED_RANGES_MAX || this.#stop.signal.aborted) {
      throw new SeekfsError('overloaded', `${queued} ranges of hints wait already; ask again later`);
    }
    const { epoch, priority, ttlMs } = hint;
    const untilMs = this.#clock.monotonicMs() + (ttlMs ?? Infinity);
    const parts = { turn: deferred(), stop: new AbortController(), work: undefined };
    this.#jobs.push({ lease, targets, epoch, priority, untilMs, ...parts });
    this.#jobs.sort((a, b) => b.priority - a.priority);
    this.#metrics.add('seekfs_hints_total', targets.length);
    this.#running ??= this.#run();
    this.#planAhead();
    return { ranges: targets.length, bytes: targets.reduce((sum, { range }) => sum + range.len, 0) };
  }

  #dropOlder(ns: string, epoch: number): void {
    this.#jobs = this.#jobs.filter((job) => {
      const isCurrent = job.lease.pinned.ns !== ns || job.epoch >= epoch;
      if (!isCurrent) {
        // What demand reads have begun of it goes on for them.
        job.stop.abort();
        job.turn.resolve();
        if (!job.work) job.lease.release();
      }
      return isCurrent;
    });
  }

  async #run(): Promise<void> {
    for (let job = this.#jobs.shift(); job; job = this.#jobs.shift()) {
      this.#planAhead();
      const work = job.work ?? this.#plan(job);
      job.turn.resolve();
      await work;
    }
    this.#running = undefined;
  }

  #planAhead(): void {
    let room = PLANNED_AHEAD_MAX - this.#jobs.filter(({ work }) => work !== undefined).length;
    for (const job of this.#jobs) {
      if (job.work) continue;
      if (room <= 0) return;
      void this.#plan(job);
      room -= 1;
    }
  }

  #plan(job: Job): Promise<void> {
    const work = this.#warm(job).finally(() => this.#works.delete(work));
    this.#works.add(work);
    job.work = work;
    return work;
  }

  /** Never rejects. */
  async #warm(job: Job): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, job.stop.signal]);
    const restMs = job.untilMs - this.#clock.monotonicMs();
    try {
      if (restMs <= 0 || signal.aborted) return;
      const reader = await this.#reader();
      const ttlMs = restMs === Infinity ? undefined : restMs;
      await reader.warm(job.lease.pinned, job.targets, { signal, ttlMs, turn: job.turn.come });
    } catch (error) {
      if (!signal.aborted) this.#log.log('warn', `a hint could not be followed: ${(error as Error).message}`);
    } finally {
      job.lease.release();
    }
  }

  /** Resolves when nothing of it runs any more. */
  async close(): Promise<void> {
    this.#stop.abort(new SeekfsError('interrupted', 'the server is shutting down'));
    await this.#running;
    await Promise.all(this.#works);
  }
}
