// Brings missing granules into the cache in the background: batches of one large GET each, behind demand reads, at
// most a few at once. For warm and hints; it reads nothing that is there already.
import { setImmediate } from 'node:timers/promises';
import type { ByteRange } from '../base/byte-range.ts';
import type { Clock } from '../base/clock.ts';
import { abortError, throwIfAborted } from '../base/errors.ts';
import type { PageCache } from '../cache/page-cache.ts';
import { GRANULE_BYTES, granuleCount, granulesOf, type GranuleSpan } from '../page/page.ts';
import type { Load, Loader } from './loader.ts';
import { piecesOf, type FilePage, type FilePages, type PagePiece } from './pages.ts';
import type { PlanOptions, WarmPlan } from './reader.ts';
import { planGets, spanBytes, spansOf, type PlanLimits } from './plan.ts';

export interface WarmingDeps {
  readonly loader: Loader;
  readonly cache: PageCache;
  readonly clock: Clock;
  readonly plan: PlanLimits;
}

export interface FileRange extends ByteRange {
  readonly file: FilePages;
}

export interface WarmingOptions {
  readonly signal?: AbortSignal | undefined;
  /** Monotonic; batches that have not begun by then are dropped. */
  readonly deadlineMs?: number | undefined;
  /** Bytes that are done with: present already, or fetched just now. */
  readonly onBytes: (bytes: number, from: 'cache' | 'store') => void;
}

/** What is missing of one file, as pieces that one GET can bring. */
interface Batch {
  readonly pieces: PagePiece[];
  bytes: number;
  slabs: number;
}

const BATCHES_AT_ONCE = 4;
/** Of the tickets: four batches and a half-full L1 leave demand its share. */
const BATCH_SHARE = 0.25;
const REFUSED_PAUSE_MS = 10;
const PAGES_A_TURN = 1000;
/** Paths that a plan names. */
const PATHS_MAX = 20;
/** After so many refusals with nothing under way a batch queues with demand: it must end some day. */
const REFUSALS_MAX = 50;

function missingPieces(piece: PagePiece, has: (granule: number) => boolean): GranuleSpan[] {
  const { page, whole } = piece.filePage;
  const span = granulesOf(piece);
  const missing: number[] = [];
  for (let granule = span.first; granule < span.first + span.count; granule += 1) {
    if (!has(granule)) missing.push(granule);
  }
  return whole && missing.length > 0 ? [{ first: 0, count: granuleCount(page) }] : spansOf(missing);
}

/** What of the piece the cache has not, in whole granules (or the whole page, where only that can be verified). */
export async function missingOf(cache: PageCache, piece: PagePiece): Promise<PagePiece[]> {
  const { filePage } = piece;
  const presence = await cache.presence(filePage.page);
  if (presence.complete) return [];
  return missingPieces(piece, (granule) => presence.has(granule)).map((span) => ({
    filePage,
    off: span.first * GRANULE_BYTES,
    len: spanBytes(filePage.page, span),
  }));
}

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
    const underWay = new Set<Promise<void>>();
    const stop = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
    const failures: unknown[] = [];
    try {
      for await (const batch of this.#batches(targets, options)) {
        throwIfAborted(options.signal);
        while (underWay.size >= BATCHES_AT_ONCE && failures.length === 0) await Promise.race(underWay);
        if (failures.length > 0) break;
        const { deadlineMs } = options;
        if (deadlineMs !== undefined && this.#deps.clock.monotonicMs() >= deadlineMs) break;
        const load = await this.#begin(batch, underWay, signal);
        const one = this.#land(batch, load, signal, options).catch((error: unknown) => {
          failures.push(error);
        });
        const ended = one.finally(() => underWay.delete(ended));
        underWay.add(ended);
      }
    } catch (error) {
      failures.push(error);
      stop.abort(error);
    }
    await Promise.all(underWay);
    await this.#deps.cache.drain();
    if (failures.length > 0) throw failures[0];
  }

  /** What `run` would send. */
  async plan(targets: AsyncIterable<FileRange> | Iterable<FileRange>, options: PlanOptions): Promise<WarmPlan> {
    let pages = 0;
    let last: FilePage | undefined;
    let bytes = 0;
    let gets = 0;
    const paths = new Set<string>();
    for await (const batch of this.#batches(targets, { onBytes: () => undefined, lasting: options.lasting })) {
      throwIfAborted(options.signal);
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

  async *#batches(
    targets: AsyncIterable<FileRange> | Iterable<FileRange>,
    { onBytes, lasting }: Pick<WarmingOptions, 'onBytes'> & Pick<PlanOptions, 'lasting'>,
  ): AsyncGenerator<Batch, void, undefined> {
    let batch: Batch = { pieces: [], bytes: 0, slabs: 0 };
    function* flush(): Generator<Batch, void, undefined> {
      if (batch.pieces.length > 0) yield batch;
      batch = { pieces: [], bytes: 0, slabs: 0 };
    }
    let looked = 0;
    for await (const target of targets) {
      let first = true;
      for (const piece of piecesOf(target.file, target)) {
        // Millions of pages may be there already: the event loop gets its turn in between.
        looked += 1;
        if (looked % PAGES_A_TURN === 0) await setImmediate();
        const presence = await this.#deps.cache.presence(piece.filePage.page, { lasting });
        const missing = missingPieces(piece, (granule) => presence.has(granule));
        const missingBytes = missing.reduce((sum, span) => sum + spanBytes(piece.filePage.page, span), 0);
        if (missingBytes < piece.len) onBytes(piece.len - missingBytes, 'cache');
        // A file that does not fit begins a batch, so that its GETs are as few as if it were alone.
        if (first && batch.bytes + target.len > this.#batchBytesMax) yield* flush();
        first = false;
        for (const span of missing) {
          for (let rest = span; rest.count > 0;) {
            const count = this.#granulesThatFit(batch, piece, rest);
            if (count === 0) {
              yield* flush();
              continue;
            }
            const taken = { first: rest.first, count };
            const len = spanBytes(piece.filePage.page, taken);
            batch.pieces.push({ filePage: piece.filePage, off: taken.first * GRANULE_BYTES, len });
            batch.bytes += len;
            batch.slabs += count;
            rest = { first: rest.first + count, count: rest.count - count };
          }
        }
      }
    }
    yield* flush();
  }

  #granulesThatFit(batch: Batch, piece: PagePiece, rest: GranuleSpan): number {
    const empty = batch.pieces.length === 0;
    const roomBytes = this.#batchBytesMax - batch.bytes;
    const roomSlabs = this.#batchBytesMax / GRANULE_BYTES - batch.slabs;
    const fits = Math.min(rest.count, roomSlabs, Math.floor(roomBytes / GRANULE_BYTES));
    if (spanBytes(piece.filePage.page, rest) <= roomBytes && rest.count <= roomSlabs) return rest.count;
    if (piece.filePage.whole) return empty ? rest.count : 0;
    return empty ? Math.max(1, fits) : fits;
  }

  /** Waits until there is memory to spare. */
  async #begin(batch: Batch, underWay: ReadonlySet<Promise<void>>, signal: AbortSignal): Promise<Load> {
    const { loader, clock, plan } = this.#deps;
    for (let refusals = 0; ; refusals += 1) {
      const refusable = underWay.size > 0 || refusals < REFUSALS_MAX;
      const load = await loader.load(batch.pieces, { lane: 'speculation', refusable, plan, signal });
      if (load) return load;
      if (underWay.size > 0) await Promise.race(underWay);
      else await clock.sleep(REFUSED_PAUSE_MS, signal);
    }
  }

  async #land(batch: Batch, load: Load, signal: AbortSignal, options: WarmingOptions): Promise<void> {
    const onAbort = (): void => load.close();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      for (const source of load.pieces) {
        for (let slab = await source.next(); slab; slab = await source.next()) slab.release();
        if (signal.aborted) throw abortError(signal);
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      load.close();
    }
    options.onBytes(batch.bytes, 'store');
  }
}
