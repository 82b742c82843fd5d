// Turns pieces into slabs: what the cache has is read there, what is in flight is joined, the rest is fetched. The
// only place where the read path waits for memory.
//
// No deadlock, because a load takes one ticket for all the memory that it will hold before it holds any, tickets are
// given in order, and all of them together leave room under the memory limit. Whoever has a ticket therefore never
// waits for another ticket's memory, and flights are joined only once they own theirs.
import { SeekfsError } from '../base/errors.ts';
import { andThen, lastly, type MaybePromise } from '../base/maybe-promise.ts';
import { SLAB_BYTES, type Lane, type MemoryGovernor, type Slab } from '../base/memory.ts';
import type { Cell } from '../base/metrics.ts';
import type { Semaphore } from '../base/semaphore.ts';
import type { PageCache, Presence } from '../cache/page-cache.ts';
import { granuleCount, granuleLength, granulesOf, GRANULE_BYTES } from '../page/page.ts';
import type { ExhaustedBudget } from '../objectstore/object-store.ts';
import type { Fetcher } from './fetcher.ts';
import type { Flight, FlightHooks, FlightTable } from './flight.ts';
import { HeldSlabs } from './held-slabs.ts';
import { LoadSize } from './load-size.ts';
import type { FilePage, PagePiece } from './pages.ts';
import { ChainedSource, FlightSource, LateSource, PromisedSource, type SlabSource } from './piece.ts';
import { planGets, roundToQuantum, spansOf, widened, type PlanLimits, type WantedSpan } from './plan.ts';
import type { PlannedBatches } from './planned.ts';
import { acquirePacked, packed } from './slab-packing.ts';

export interface LoaderDeps {
  readonly cache: PageCache;
  readonly memory: MemoryGovernor;
  readonly exhausted: () => ExhaustedBudget | undefined;
  readonly fetcher: Fetcher;
  readonly table: FlightTable;
  readonly planned: PlannedBatches;
  readonly hooks: FlightHooks;
  /** Random reads fetch whole quanta, whole numbers of granules. */
  readonly quantumBytes: number;
  /** GETs that demand reads did not cost: bytes were in the cache, or on their way already. */
  readonly saved: { readonly cached: Cell; readonly joined: Cell };
  /** Counts bytes asked for of pages without checksums. */
  readonly uncheckedBytes: Cell;
}

export interface LoadOptions {
  /** Of the requests, and of what the cache is told. */
  readonly lane: Lane;
  /** Resolves with undefined rather than wait for memory. */
  readonly refusable: boolean;
  readonly plan: PlanLimits;
  /** GETs that the load would be if nothing of it were cached; default one a piece. */
  readonly getsUncached?: number | undefined;
  /** Where the caller knows it. */
  readonly size?: LoadSize | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The pieces of one load, each with its bytes, in the order asked for; `close` frees what was not taken. */
export interface Load {
  readonly pieces: readonly SlabSource[];
  /** Whether any byte of it had to come from the store. */
  readonly cold: boolean;
  close(): void;
}

const ATTEMPTS_MAX = 8;
const LOOKS_MAX = 4;

interface Missing {
  readonly filePage: FilePage;
  /** With the index of the piece that first needs each. */
  readonly needs: Map<number, number>;
}

type Presences = ReadonlyMap<string, Presence>;

export class Loader {
  readonly #deps: LoaderDeps;
  readonly #tickets: Semaphore;

  constructor(deps: LoaderDeps) {
    this.#deps = deps;
    this.#tickets = deps.memory.tickets;
  }

  /** The most that a load can hold without having the memory to itself; callers size their loads to parts of it. */
  get ticketBytesMax(): number {
    return this.#tickets.capacity * SLAB_BYTES;
  }

  /** Empty; for a load that its caller cuts off where it is large enough. */
  newSize(lane: Lane): LoadSize {
    return new LoadSize({ ...this.#deps, lane });
  }

  async #sizeOf(pieces: readonly PagePiece[], lane: Lane): Promise<LoadSize> {
    const size = this.newSize(lane);
    for (const piece of pieces) {
      const added = size.add(piece);
      if (added instanceof Promise) await added;
    }
    return size;
  }

  /**
   * Waits for memory, not for bytes: sources begin to fill when this resolves.
   * @returns undefined where the speculation lane is refused
   * @throws overloaded where the memory limit cannot hold the load, interrupted
   */
  async load(pieces: readonly PagePiece[], options: LoadOptions): Promise<Load | undefined> {
    const size = options.size ?? (await this.#sizeOf(pieces, options.lane));
    const ticket = options.refusable
      ? this.#tickets.tryAcquire(size.slabs)
      : await this.#tickets.acquire({ permits: size.slabs, signal: options.signal });
    if (!ticket) return undefined;
    try {
      const sources = await this.#resolve(pieces, { ...options, size }, 0);
      if (!sources) {
        ticket();
        return undefined;
      }
      if (options.lane === 'demand') this.#countCached(sources, options.getsUncached);
      for (const { filePage, len } of pieces) {
        if (filePage.page.kind === 'unchecked') this.#deps.uncheckedBytes.value += len;
      }
      return {
        pieces: sources.map(({ source }) => source),
        cold: sources.some(({ cold }) => cold),
        close: () => {
          for (const { source } of sources) source.close();
          ticket();
        },
      };
    } catch (error) {
      ticket();
      throw error;
    }
  }

  /**
   * The short way for small reads: the slabs, which the caller owns, without a promise where all of it lies in memory;
   * undefined where the cache has not all of it or there is no memory just now.
   */
  tryCached(
    piece: PagePiece,
    { signal, getsUncached = 1 }: Pick<LoadOptions, 'signal' | 'getsUncached'> = {},
  ): MaybePromise<Slab[] | undefined> {
    const ticket = this.#tickets.tryAcquire(granulesOf(piece).count);
    if (!ticket) return undefined;
    const read = (): MaybePromise<Slab[] | undefined> => this.#deps.cache.read(piece.filePage.page, piece, { signal });
    return andThen(lastly(read, ticket), (slabs) => this.#counted(piece, slabs, getsUncached));
  }

  #counted(piece: PagePiece, slabs: Slab[] | undefined, getsUncached: number): Slab[] | undefined {
    if (!slabs) return undefined;
    this.#deps.saved.cached.value += getsUncached;
    if (piece.filePage.page.kind === 'unchecked') this.#deps.uncheckedBytes.value += piece.len;
    return slabs;
  }

  #countCached(sources: readonly { readonly cold: boolean }[], getsUncached: number | undefined): void {
    const cached = sources.filter(({ cold }) => !cold).length;
    const isWhole = cached === sources.length;
    this.#deps.saved.cached.value += getsUncached === undefined ? cached : isWhole ? getsUncached : 0;
  }

  /**
   * `attempt` counts how often the cache promised the bytes and had not got them: from the first on it is not asked,
   * and from the second on no other process is waited for.
   */
  async #resolve(
    pieces: readonly PagePiece[],
    options: LoadOptions,
    attempt: number,
  ): Promise<{ source: SlabSource; cold: boolean }[] | undefined> {
    if (attempt >= ATTEMPTS_MAX) {
      throw new SeekfsError('cache_corrupt', 'the cache keeps losing what it says it has; run without it');
    }
    const { table } = this.#deps;
    const look = async (): Promise<Presences> => (attempt === 0 ? this.#presences(pieces) : new Map());
    const slabs = new HeldSlabs();
    try {
      let { landed } = table;
      let presences = await look();
      if (attempt === 0 && (await this.#promote(pieces, presences, options))) {
        ({ landed } = table);
        presences = await look();
      }
      for (let looks = 0; ; looks += 1) {
        const lacking = this.#missing(pieces, presences, slabs);
        if (lacking.length === 0) break;
        if (!(await this.#acquire(lacking, options, slabs))) return undefined;
        // Nothing landed or failed meanwhile: what others have begun can only be less to fetch.
        if (table.landed === landed) break;
        // While this looked or waited, others fetched the same, perhaps: what landed is in the cache, what has begun is joined,
        // and what was begun and failed needs memory of our own.
        if (looks >= LOOKS_MAX) continue;
        ({ landed } = table);
        presences = await look();
      }
      // No await from the last look at the table to the joins: it must not change under the plan.
      const begun = this.#begin(this.#missing(pieces, presences), slabs, { ...options, unclaimed: attempt > 1 });
      const joined = new Set<Flight>();
      const sources = pieces.map((piece) => this.#source(piece, presences, { ...options, attempt, joined }));
      for (const flight of begun) joined.delete(flight);
      if (options.lane === 'demand') this.#deps.saved.joined.value += joined.size;
      return sources;
    } finally {
      slabs.release();
    }
  }

  /** Begins what is planned around that which a demand read misses. @returns whether the read can join some of it now */
  async #promote(pieces: readonly PagePiece[], presences: Presences, { lane }: LoadOptions): Promise<boolean> {
    const { planned, exhausted } = this.#deps;
    // Where bytes are what is short, the read's own few come first.
    if (lane !== 'demand' || planned.size === 0 || exhausted() === 'bytes') return false;
    return planned.promote(this.#missing(pieces, presences));
  }

  async #presences(pieces: readonly PagePiece[]): Promise<Presences> {
    const presences = new Map<string, Presence>();
    for (const { filePage } of pieces) {
      if (presences.has(filePage.key)) continue;
      const presence = this.#deps.cache.presence(filePage.page);
      presences.set(filePage.key, presence instanceof Promise ? await presence : presence);
    }
    return presences;
  }

  /** Spans that are neither in the cache nor in flight nor held, rounded, each granule once, with the order of first need. */
  #missing(pieces: readonly PagePiece[], presences: Presences, held?: HeldSlabs): WantedSpan[] {
    const { table, quantumBytes } = this.#deps;
    const pages = new Map<string, Missing>();
    for (let index = 0; index < pieces.length; index += 1) {
      const piece = pieces[index]!;
      const { filePage } = piece;
      const { page, key } = filePage;
      const presence = presences.get(key);
      if (presence?.complete) continue;
      const absent = (granule: number): boolean => !presence?.has(granule) && !table.find(filePage, granule);
      const wanted = granulesOf(piece);
      for (let granule = wanted.first; granule < wanted.first + wanted.count; granule += 1) {
        if (!absent(granule)) continue;
        let missing = pages.get(key);
        if (!missing) pages.set(key, (missing = { filePage, needs: new Map() }));
        const grown = filePage.whole
          ? { first: 0, count: granuleCount(page) }
          : roundToQuantum(page, { first: granule, count: 1 }, quantumBytes);
        for (let other = grown.first; other < grown.first + grown.count; other += 1) {
          if (!missing.needs.has(other) && (filePage.whole || absent(other))) missing.needs.set(other, index);
        }
      }
    }
    return [...pages.values()].flatMap(({ filePage, needs }) => {
      const lacking = [...needs.keys()].filter((granule) => !held?.has(filePage, granule));
      return spansOf(lacking.sort((a, b) => a - b)).map((span) => ({ filePage, span, needs }));
    });
  }

  /** Adds a slab for each granule to those held. @returns false where the speculation lane is refused */
  async #acquire(wanted: readonly WantedSpan[], options: LoadOptions, held: HeldSlabs): Promise<boolean> {
    const { memory } = this.#deps;
    const lengths: number[] = [];
    for (const { filePage, span } of wanted) {
      for (let granule = span.first; granule < span.first + span.count; granule += 1) {
        lengths.push(granuleLength(filePage.page, granule));
      }
    }
    // More than all tickets would wait for slabs that its own consumer may still hold.
    const isPacked = options.lane === 'demand';
    if ((isPacked ? packed(lengths).lengths : lengths).length > memory.tickets.capacity) {
      throw new SeekfsError(
        'overloaded',
        `reading ${wanted[0]!.filePage.page.path} needs ${lengths.length * SLAB_BYTES} bytes at once, three quarters of the memory limit are ${this.ticketBytesMax}; raise it`,
        { retryable: false },
      );
    }
    const request = { lane: options.refusable ? 'speculation' : 'demand', signal: options.signal } as const;
    const slabs = await (isPacked ? acquirePacked(memory, lengths, request) : memory.acquire(lengths, request));
    if (!slabs) return false;
    let next = 0;
    for (const { filePage, span } of wanted) {
      for (let granule = span.first; granule < span.first + span.count; granule += 1) {
        held.add(filePage, granule, slabs[next++]!);
      }
    }
    return true;
  }

  /** Moves the slabs of the wanted spans into flights, and the flights to the fetcher. @returns those flights */
  #begin(
    wanted: readonly WantedSpan[],
    slabs: HeldSlabs,
    options: LoadOptions & { readonly unclaimed: boolean },
  ): readonly Flight[] {
    if (wanted.length === 0) return [];
    const { table, hooks, fetcher } = this.#deps;
    const limits = this.#deps.exhausted() === 'gets' ? widened(options.plan) : options.plan;
    const flights: Flight[] = [];
    for (const get of planGets(wanted, limits)) {
      for (const { want, span } of get.parts) {
        flights.push(table.begin(hooks, { filePage: want.filePage, span }, slabs.take(want.filePage, span)));
      }
    }
    const { lane, unclaimed } = options;
    fetcher.start({ flights, lane, limits, unclaimed });
    return flights;
  }

  #source(
    piece: PagePiece,
    presences: Presences,
    options: LoadOptions & { readonly attempt: number; readonly joined: Set<Flight> },
  ): { source: SlabSource; cold: boolean } {
    const { filePage, off, len } = piece;
    const presence = presences.get(filePage.key);
    if (presence?.complete && !options.size?.packs(piece)) return { source: this.#cached(piece, options), cold: false };
    const sources: SlabSource[] = [];
    const span = granulesOf(piece);
    const end = span.first + span.count;
    const clip = (first: number, stop: number): PagePiece => {
      const from = Math.max(off, first * GRANULE_BYTES);
      return { filePage, off: from, len: Math.min(off + len, stop * GRANULE_BYTES) - from };
    };
    let cold = false;
    for (let granule = span.first; granule < end;) {
      const flight = this.#deps.table.find(filePage, granule);
      let next = granule + 1;
      if (flight) {
        cold = true;
        options.joined.add(flight);
        next = Math.min(end, flight.span.first + flight.span.count);
        const part = clip(granule, next);
        sources.push(
          new FlightSource(flight, {
            piece: part,
            span: { first: granule, count: next - granule },
            demand: options.lane === 'demand',
            afterCached: () => this.#cached(part, options),
          }),
        );
      } else {
        while (next < end && !this.#deps.table.find(filePage, next)) next += 1;
        const part = clip(granule, next);
        // What was to share a slab is here by now, and has one for itself: one at a time.
        const isLate = options.size?.packs(part) === true;
        sources.push(isLate ? new LateSource(() => this.#cached(part, options)) : this.#cached(part, options));
      }
      granule = next;
    }
    return { source: sources.length === 1 ? sources[0]! : new ChainedSource(sources), cold };
  }

  #cached(piece: PagePiece, options: LoadOptions & { attempt: number }): SlabSource {
    const { filePage, off, len } = piece;
    const slabs = this.#deps.cache.read(filePage.page, { off, len }, { signal: options.signal });
    return new PromisedSource(slabs, async () => {
      const forced = await this.#resolve([piece], { ...options, refusable: false }, options.attempt + 1);
      return forced![0]!.source;
    });
  }
}
