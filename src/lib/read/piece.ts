// One piece of an answer: a byte range of one page that arrives slab by slab, in order, from flights and from the
// cache. Owns the slabs until they are taken. Made by the loader, taken from by streams and readv.
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { Slab } from '../base/memory.ts';
import { GRANULE_BYTES, type GranuleSpan } from '../page/page.ts';
import type { Flight, FlightEnd, FlightListener } from './flight.ts';
import type { PagePiece } from './pages.ts';

/** Slabs in order from somewhere; undefined at the end. */
export interface SlabSource {
  /** Waits for the next slab, whose reference the caller then owns. Not called again before it has resolved. */
  next(): Promise<Slab | undefined>;
  /** Whether `next` would resolve without waiting for a disk or the store. */
  readonly ready: boolean;
  /** Releases what was not taken; the owner calls it once, also after the end. */
  close(): void;
}

/** What of a flight belongs to a piece: whole granules, clipped at the piece's edges. */
export class FlightSource implements SlabSource, FlightListener {
  readonly #piece: PagePiece;
  readonly #afterCached: () => SlabSource;
  readonly #queue: Slab[] = [];
  readonly #leave: () => void;
  #end: FlightEnd | undefined;
  #wake: (() => void) | undefined;
  #instead: SlabSource | undefined;
  #closed = false;

  /** `afterCached`: where the bytes are when the flight says that the cache has them. */
  constructor(
    flight: Flight,
    options: { piece: PagePiece; span: GranuleSpan; demand: boolean; afterCached: () => SlabSource },
  ) {
    this.#piece = options.piece;
    this.#afterCached = options.afterCached;
    this.#leave = flight.join(this, { span: options.span, demand: options.demand });
  }

  get ready(): boolean {
    return this.#queue.length > 0 || this.#end !== undefined;
  }

  onGranule(granule: number, slab: Slab): void {
    const start = Math.max(0, this.#piece.off - granule * GRANULE_BYTES);
    const end = Math.min(slab.bytes.length, this.#piece.off + this.#piece.len - granule * GRANULE_BYTES);
    this.#queue.push(start === 0 && end === slab.bytes.length ? slab.retain() : slab.slice(start, end));
    this.#wake?.();
  }

  onEnd(end: FlightEnd): void {
    this.#end = end;
    this.#wake?.();
  }

  async next(): Promise<Slab | undefined> {
    for (;;) {
      const slab = this.#queue.shift();
      if (slab) return slab;
      if (this.#end?.kind === 'failed') throw this.#end.error;
      if (this.#closed || this.#end?.kind === 'fetched') return undefined;
      if (this.#end?.kind === 'cached') return (this.#instead ??= this.#afterCached()).next();
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#leave();
    for (const slab of this.#queue.splice(0)) slab.release();
    this.#instead?.close();
    this.#wake?.();
  }
}

/** Slabs that come all at once, perhaps later; where there come none, another source takes over. */
export class PromisedSource implements SlabSource {
  readonly #slabs: Promise<Slab[] | undefined> | undefined;
  readonly #otherwise: () => Promise<SlabSource>;
  #queue: Slab[] | undefined;
  #instead: SlabSource | undefined;
  #settled = false;
  #closed = false;

  constructor(slabs: MaybePromise<Slab[] | undefined>, otherwise: () => Promise<SlabSource>) {
    this.#otherwise = otherwise;
    if (!(slabs instanceof Promise)) {
      this.#queue = slabs?.reverse();
      this.#settled = true;
      return;
    }
    this.#slabs = slabs;
    // Who never takes from it need not hear of the failure.
    const settle = (): void => {
      this.#settled = true;
    };
    slabs.then(settle, settle);
  }

  get ready(): boolean {
    return this.#instead ? this.#instead.ready : this.#settled;
  }

  async next(): Promise<Slab | undefined> {
    if (!this.#queue && !this.#instead) {
      const slabs = await this.#slabs;
      if (this.#closed) return undefined;
      if (slabs) this.#queue = slabs.reverse();
      else {
        const instead = await this.#otherwise();
        if (this.#closed) {
          instead.close();
          return undefined;
        }
        this.#instead = instead;
      }
    }
    return this.#instead ? this.#instead.next() : this.#queue!.pop();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#instead?.close();
    if (this.#queue) for (const slab of this.#queue.splice(0)) slab.release();
    else if (!this.#instead) {
      void this.#slabs?.then(
        (slabs) => slabs?.forEach((slab) => slab.release()),
        () => undefined,
      );
    }
  }
}

/** Sources one after the other. */
export class ChainedSource implements SlabSource {
  readonly #sources: readonly SlabSource[];
  #at = 0;

  constructor(sources: readonly SlabSource[]) {
    this.#sources = sources;
  }

  get ready(): boolean {
    return this.#sources[this.#at]?.ready ?? true;
  }

  async next(): Promise<Slab | undefined> {
    for (; this.#at < this.#sources.length; this.#at += 1) {
      const slab = await this.#sources[this.#at]!.next();
      if (slab) return slab;
    }
    return undefined;
  }

  close(): void {
    for (const source of this.#sources) source.close();
  }
}

/** A source that is made when it is first asked. */
export class LateSource implements SlabSource {
  readonly #make: () => SlabSource;
  #source: SlabSource | undefined;

  constructor(make: () => SlabSource) {
    this.#make = make;
  }

  get ready(): boolean {
    return this.#source?.ready ?? false;
  }

  next(): Promise<Slab | undefined> {
    return (this.#source ??= this.#make()).next();
  }

  close(): void {
    this.#source?.close();
  }
}
