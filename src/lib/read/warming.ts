// Brings missing granules into the cache in the background: batches of one large GET each, behind demand reads, at
// most a few at once. What waits for its turn is planned, so that a demand read begins the batch that it falls into. For
// warm and hints; it reads nothing that is there already.
import type { Clock } from '../base/clock.ts';
import { abortError, throwIfAborted } from '../base/errors.ts';
import { onAbort } from '../base/on-abort.ts';
import type { PageCache } from '../cache/page-cache.ts';
import { GRANULE_BYTES, granulesOf } from '../page/page.ts';
import { batchesOf, missingOf, type Batch, type FileRange } from './batches.ts';
import type { Load, Loader } from './loader.ts';
import type { FilePage, PagePiece } from './pages.ts';
import { planGets, type PlanLimits } from './plan.ts';
import type { PlannedBatch, PlannedBatches } from './planned.ts';
import type { PlanOptions, WarmPlan } from './reader.ts';

export interface WarmingDeps {
  readonly loader: Loader;
  readonly cache: PageCache;
  readonly clock: Clock;
  readonly plan: PlanLimits;
  readonly planned: PlannedBatches;
}

export interface WarmingOptions {
  readonly signal?: AbortSignal | undefined;
  /** Monotonic; batches that have not begun by then are dropped. */
  readonly deadlineMs?: number | undefined;
  /** Until then only demand reads begin batches; default at once. */
  readonly turn?: Promise<void> | undefined;
  /** Bytes that are done with: present already, or fetched just now. */
  readonly onBytes: (bytes: number, from: 'cache' | 'store') => void;
}

/** That begin in their turn; those that demand reads promote come on top, as far as memory allows. */
const BATCHES_AT_ONCE = 4;
/** Of the tickets: four batches and a half-full L1 leave demand its share. */
const BATCH_SHARE = 0.25;
/** That wait for their turn: 2 GiB at the default size of a GET. */
const PLANNED_MAX = 64;
/** Of small files there are thousands in a batch, and what is remembered of each is not small. */
const PLANNED_PIECES_MAX = 2048;
const REFUSED_PAUSE_MS = 10;
/** Paths that a plan names. */
const PATHS_MAX = 20;
/** After so many refusals with nothing under way a batch queues with demand: it must end some day. */
const REFUSALS_MAX = 50;

export class Warming {
  readonly #deps: WarmingDeps;
  readonly #batchBytesMax: number;

  constructor(deps: WarmingDeps) {
    this.#deps = deps;
    const share = Math.floor((deps.loader.ticketBytesMax * BATCH_SHARE) / GRANULE_BYTES) * GRANULE_BYTES;
    this.#batchBytesMax = Math.max(GRANULE_BYTES, Math.min(deps.plan.getBytesMax, share));
  }

  /** Resolves when everything is in the cache or was given up. The first failure ends it, when what is under way has ended. */
  async run(targets: AsyncIterable<FileRange> | Iterable<FileRange>, options: WarmingOptions): Promise<void> {
    const onCached = (bytes: number): void => options.onBytes(bytes, 'cache');
    const batches = batchesOf(this.#deps.cache, targets, { batchBytesMax: this.#batchBytesMax, onCached });
    await new Run(this.#deps, options).all(batches);
  }

  /** What `run` would send. */
  async plan(targets: AsyncIterable<FileRange> | Iterable<FileRange>, options: PlanOptions): Promise<WarmPlan> {
    let pages = 0;
    let last: FilePage | undefined;
    let bytes = 0;
    let gets = 0;
    const paths = new Set<string>();
    const { lasting, signal } = options;
    for await (const batch of batchesOf(this.#deps.cache, targets, { batchBytesMax: this.#batchBytesMax, lasting })) {
      throwIfAborted(signal);
      for (const { filePage } of batch.pieces) {
        if (filePage !== last) pages += 1;
        last = filePage;
        if (paths.size < PATHS_MAX) paths.add(filePage.page.path);
      }
      bytes += batch.bytes;
      const wanted = batch.pieces.map((piece) => ({ filePage: piece.filePage, span: granulesOf(piece) }));
      gets += planGets(wanted, this.#deps.plan).length;
    }
    return { pages, bytes, gets, paths: [...paths] };
  }
}

interface Waiting extends PlannedBatch {
  beginning: Promise<boolean> | undefined;
}

/** One call of `run`: its batches that wait for their turn, and those under way. */
class Run {
  readonly #deps: WarmingDeps;
  readonly #options: WarmingOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #waiting = new Set<Waiting>();
  #waitingPieces = 0;
  readonly #underWay = new Set<Promise<void>>();
  readonly #failures: unknown[] = [];
  /** Resolves when batches may begin in their turn, or none may any more; undefined once that is so. */
  #turn: Promise<void> | undefined;

  constructor(deps: WarmingDeps, options: WarmingOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#signal = options.signal ? AbortSignal.any([options.signal, this.#stop.signal]) : this.#stop.signal;
    if (options.turn) this.#turn = this.#turnOrAbort(options.turn);
  }

  async #turnOrAbort(turn: Promise<void>): Promise<void> {
    await Promise.race([turn, new Promise<void>((resolve) => onAbort(this.#signal, resolve))]);
    this.#turn = undefined;
  }

  async all(batches: AsyncGenerator<Batch, void, undefined>): Promise<void> {
    try {
      await this.#beginAll(batches);
    } catch (error) {
      this.#failures.push(error);
      this.#stop.abort(error);
    }
    for (const batch of this.#waiting) this.#deps.planned.delete(batch);
    this.#waiting.clear();
    await batches.return();
    await Promise.all(this.#underWay);
    await this.#deps.cache.drain();
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  async #beginAll(batches: AsyncGenerator<Batch, void, undefined>): Promise<void> {
    for (let isPlanned = false; !isPlanned || this.#waiting.size > 0;) {
      throwIfAborted(this.#options.signal);
      if (this.#isOver) return;
      const isFull = this.#turn !== undefined || this.#underWay.size >= BATCHES_AT_ONCE;
      // It plans on while nothing may begin.
      if (!isPlanned && (this.#waiting.size === 0 || (isFull && this.#mayPlan()))) {
        const next = await batches.next();
        if (next.done) isPlanned = true;
        else this.#wait(next.value);
      } else if (isFull) {
        await Promise.race(this.#turn ? [this.#turn, ...this.#underWay] : this.#underWay);
      } else {
        const [first] = this.#waiting;
        await this.#beginInTurn(first!);
      }
    }
  }

  #mayPlan(): boolean {
    return this.#waiting.size < PLANNED_MAX && this.#waitingPieces < PLANNED_PIECES_MAX;
  }

  #wait({ pieces, bytes }: Batch): void {
    const promote = (): Promise<boolean> => {
      batch.beginning ??= this.#promote(batch).finally(() => (batch.beginning = undefined));
      return batch.beginning;
    };
    const batch: Waiting = { pieces, bytes, promote, beginning: undefined };
    this.#waiting.add(batch);
    this.#waitingPieces += pieces.length;
    this.#deps.planned.add(batch);
  }

  async #promote(batch: Waiting): Promise<boolean> {
    try {
      return await this.#begin(batch, true);
    } catch (error) {
      this.#failures.push(error);
      return false;
    }
  }

  /** Waits until there is memory to spare, or a demand read has begun the batch. */
  async #beginInTurn(batch: Waiting): Promise<void> {
    for (let refusals = 0; this.#waiting.has(batch) && !this.#isOver; refusals += 1) {
      if (this.#underWay.size === 0 && refusals >= REFUSALS_MAX) {
        // No demand read may wait for what waits for demand.
        this.#deps.planned.delete(batch);
        await this.#begin(batch, false);
      } else if (!(await batch.promote()) && this.#waiting.has(batch)) {
        if (this.#underWay.size > 0) await Promise.race(this.#underWay);
        else await this.#deps.clock.sleep(REFUSED_PAUSE_MS, this.#signal);
      }
    }
  }

  /** @returns whether anything of it is on its way now */
  async #begin(batch: Waiting, refusable: boolean): Promise<boolean> {
    const { loader, cache, plan, planned } = this.#deps;
    if (this.#isOver) return false;
    const missing: PagePiece[] = [];
    // Reads have come since it was planned.
    for (const piece of batch.pieces) missing.push(...(await missingOf(cache, piece)));
    let load: Load | undefined;
    if (missing.length > 0) {
      load = await loader.load(missing, { lane: 'speculation', refusable, plan, signal: this.#signal });
      if (!load) return false;
    }
    if (!this.#waiting.delete(batch)) {
      load?.close();
      return false;
    }
    this.#waitingPieces -= batch.pieces.length;
    planned.delete(batch);
    const bytes = missing.reduce((sum, { len }) => sum + len, 0);
    if (bytes < batch.bytes) this.#options.onBytes(batch.bytes - bytes, 'cache');
    if (load) this.#follow(load, bytes);
    return load !== undefined;
  }

  /** Nothing more may begin. */
  get #isOver(): boolean {
    const { deadlineMs } = this.#options;
    const isLate = deadlineMs !== undefined && this.#deps.clock.monotonicMs() >= deadlineMs;
    return isLate || this.#signal.aborted || this.#failures.length > 0;
  }

  #follow(load: Load, bytes: number): void {
    const land = async (): Promise<void> => {
      try {
        await this.#land(load);
        this.#options.onBytes(bytes, 'store');
      } catch (error) {
        this.#failures.push(error);
      }
    };
    const landing = land().finally(() => this.#underWay.delete(landing));
    this.#underWay.add(landing);
  }

  async #land(load: Load): Promise<void> {
    const signal = this.#signal;
    const close = (): void => load.close();
    onAbort(signal, close);
    try {
      if (signal.aborted) throw abortError(signal);
      for (const source of load.pieces) {
        for (let slab = await source.next(); slab; slab = await source.next()) slab.release();
        if (signal.aborted) throw abortError(signal);
      }
    } finally {
      signal.removeEventListener('abort', close);
      load.close();
    }
  }
}
