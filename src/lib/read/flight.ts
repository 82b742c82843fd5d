// Single-flight for granules inside the process: what is being fetched now, who waits for it, and the hand-over of
// verified bytes to all of them and to the cache. Begins no requests and waits for nothing.
import { SeekfsError } from '../base/errors.ts';
import type { Slab } from '../base/memory.ts';
import { copyShared } from '../base/page-aligned.ts';
import type { PageCache } from '../cache/page-cache.ts';
import { GRANULE_BYTES, type GranuleSpan } from '../page/page.ts';
import { joinRuns, verifyRun, type VerifiedRun } from '../page/verified.ts';
import type { FilePage } from './pages.ts';
import { spanBytes, type WantedSpan } from './plan.ts';

/** `cached`: another process brought the granules into the cache, read them there. */
export type FlightEnd =
  { readonly kind: 'fetched' } | { readonly kind: 'cached' } | { readonly kind: 'failed'; readonly error: SeekfsError };

export interface FlightListener {
  /** A verified granule, in ascending order; the listener retains what it keeps. */
  onGranule(granule: number, slab: Slab): void;
  /** Last call. */
  onEnd(end: FlightEnd): void;
}

interface Joined {
  readonly listener: FlightListener;
  readonly span: GranuleSpan;
}

export interface FlightHooks {
  readonly cache: PageCache;
  readonly onFetched: () => void;
  /** Another process fetched what this one was about to. */
  readonly onCached: () => void;
  readonly onCorrupt: () => void;
}

/** Granules of one page on their way. Owns their slabs until they are verified, and the runs until it ends. */
export class Flight {
  readonly filePage: FilePage;
  readonly span: GranuleSpan;
  readonly objectOff: number;
  readonly lengthBytes: number;
  readonly #table: FlightTable;
  readonly #hooks: FlightHooks;
  readonly #slabs: Slab[];
  readonly #runs: VerifiedRun[] = [];
  readonly #joined = new Set<Joined>();
  #filledBytes = 0;
  #end: FlightEnd | undefined;
  #demand = false;
  #everJoined = false;
  /** Called when the last listener has left before the end. */
  onAbandoned: (() => void) | undefined;
  /** Called when the first demand reader joins what was begun as speculation. */
  onDemand: (() => void) | undefined;
  /** Called when the cache has written what was verified, or gave it up, or there was nothing to write. */
  onWritten: (() => void) | undefined;

  constructor(table: FlightTable, hooks: FlightHooks, want: WantedSpan, slabs: readonly Slab[]) {
    this.filePage = want.filePage;
    this.span = want.span;
    this.objectOff = want.filePage.objectOff + want.span.first * GRANULE_BYTES;
    this.lengthBytes = spanBytes(want.filePage.page, want.span);
    this.#table = table;
    this.#hooks = hooks;
    this.#slabs = [...slabs];
  }

  get ended(): boolean {
    return this.#end !== undefined;
  }

  get listeners(): number {
    return this.#joined.size;
  }

  /** Everybody who waited for it has left. What is fetched along with it, for nobody yet, is not abandoned. */
  get abandoned(): boolean {
    return this.#everJoined && this.#joined.size === 0 && !this.#end;
  }

  get demand(): boolean {
    return this.#demand;
  }

  covers(granule: number): boolean {
    return granule >= this.span.first && granule < this.span.first + this.span.count;
  }

  /** Listens to the granules that both spans have; what is verified already arrives before this returns. */
  join(listener: FlightListener, options: { span: GranuleSpan; demand: boolean }): () => void {
    const joined: Joined = { listener, span: options.span };
    if (this.#end) {
      for (const run of this.#runs) this.#deliver(joined, run);
      listener.onEnd(this.#end);
      return () => undefined;
    }
    this.#joined.add(joined);
    this.#everJoined = true;
    if (options.demand && !this.#demand) {
      this.#demand = true;
      this.onDemand?.();
    }
    for (const run of this.#runs) this.#deliver(joined, run);
    return () => {
      if (!this.#joined.delete(joined) || this.#joined.size > 0 || this.#end) return;
      this.onAbandoned?.();
    };
  }

  /** Takes what it wants of a chunk of the object at `chunkOff`; chunks come in order, without holes. */
  fill(chunk: Uint8Array, chunkOff: number): void {
    while (!this.#end && this.#filledBytes < this.lengthBytes) {
      const from = this.objectOff + this.#filledBytes - chunkOff;
      if (from >= chunk.length) return;
      const index = Math.floor(this.#filledBytes / GRANULE_BYTES);
      const within = this.#filledBytes % GRANULE_BYTES;
      const target = this.#slabs[index]!.bytes;
      const count = Math.min(target.length - within, chunk.length - from);
      copyShared(target, within, chunk.subarray(from, from + count));
      this.#filledBytes += count;
      if (within + count === target.length) this.#granuleFilled(index);
    }
  }

  /**
   * Once: offers what was verified to the cache, gives the memory back and tells the listeners. What was fetched can be
   * joined until the cache has written it, so that nobody fetches it again in between.
   */
  end(end: FlightEnd): void {
    if (this.#end) return;
    this.#end = end;
    const verified = this.#runs.reduce((sum, run) => sum + run.span.count, 0);
    for (const slab of this.#slabs.slice(verified)) slab.release();
    if (end.kind !== 'fetched') this.#table.remove(this);
    if (end.kind === 'cached') this.#hooks.onCached();
    // Whatever the cache does, whoever waits is told.
    try {
      if (this.#runs.length > 0) {
        const run = joinRuns(this.#runs);
        this.#hooks.cache.insert(run, {
          demand: this.#demand,
          onWritten: () => {
            if (end.kind === 'fetched') this.#table.remove(this);
            this.onWritten?.();
            run.release();
          },
        });
      } else {
        this.onWritten?.();
      }
    } finally {
      for (const { listener } of this.#joined) listener.onEnd(end);
      this.#joined.clear();
    }
  }

  #granuleFilled(index: number): void {
    const { page, whole } = this.filePage;
    const last = index === this.span.count - 1;
    if (whole && !last) return;
    const span = whole ? this.span : { first: this.span.first + index, count: 1 };
    try {
      const run = verifyRun(page, span, whole ? this.#slabs : [this.#slabs[index]!]);
      this.#runs.push(run);
      for (const joined of this.#joined) this.#deliver(joined, run);
      if (!last) return;
      this.#hooks.onFetched();
      this.end({ kind: 'fetched' });
    } catch (error) {
      if (!(error instanceof SeekfsError)) throw error;
      this.#hooks.onCorrupt();
      this.end({ kind: 'failed', error });
    }
  }

  #deliver({ listener, span }: Joined, run: VerifiedRun): void {
    const first = Math.max(span.first, run.span.first);
    const end = Math.min(span.first + span.count, run.span.first + run.span.count);
    for (let granule = first; granule < end; granule += 1) {
      listener.onGranule(granule, run.slabs[granule - run.span.first]!);
    }
  }
}

/** The flights of this process, by page. */
export class FlightTable {
  readonly #byPage = new Map<string, Flight[]>();
  #landed = 0;

  /** Grows whenever a flight ends: what was missing before may be in the cache now. */
  get landed(): number {
    return this.#landed;
  }

  get size(): number {
    return this.#byPage.size;
  }

  find(filePage: FilePage, granule: number): Flight | undefined {
    return this.#byPage.get(filePage.key)?.find((flight) => flight.covers(granule));
  }

  /** No granule of it may be in flight already. The flight takes the slabs over, one a granule. */
  begin(hooks: FlightHooks, want: WantedSpan, slabs: readonly Slab[]): Flight {
    const flight = new Flight(this, hooks, want, slabs);
    const flights = this.#byPage.get(want.filePage.key);
    if (flights) flights.push(flight);
    else this.#byPage.set(want.filePage.key, [flight]);
    return flight;
  }

  remove(flight: Flight): void {
    const { key } = flight.filePage;
    const flights = this.#byPage.get(key) ?? [];
    const at = flights.indexOf(flight);
    if (at >= 0) flights.splice(at, 1);
    if (flights.length === 0) this.#byPage.delete(key);
    this.#landed += 1;
  }
}
