// The memory governor: one number bounds every slab that L1, fetches and responses hold. Slabs are 128 KiB, begin at
// a page of memory, are reused for ever, and counted by reference; resident memory then follows the bound, not the
// garbage collector. Demand waits in order; speculation is refused while anything waits or little is left.
import { abortError } from './errors.ts';
import { onAbort } from './on-abort.ts';
import { Semaphore } from './semaphore.ts';
import { SlabArenas, type Prefault } from './slab-arenas.ts';
import { KIB } from './units.ts';

export const SLAB_BYTES = 128 * KIB;

/** One slab, or the part of it that is in use. Whoever holds a reference may read `bytes`; nobody after `release`. */
export interface Slab {
  /** The bytes in use; the view is at most SLAB_BYTES long. */
  readonly bytes: Buffer;
  retain(): Slab;
  release(): void;
  /** A new reference to a part of it: `bytes` [start, end). The caller still owns its own reference of the whole. */
  slice(start: number, end: number): Slab;
  /** As `slice`, in place of the whole: takes over the caller's reference of it. */
  narrow(start: number, end: number): Slab;
}

const TICKET_SHARE = 0.75;

export type Lane = 'demand' | 'speculation';

interface Waiter {
  readonly count: number;
  readonly grant: () => void;
}

class PooledSlab implements Slab {
  #bytes: Buffer | (() => Buffer);
  readonly #give: () => void;
  #references = 1;

  /** @param bytes or where to take them at the first use */
  constructor(bytes: Buffer | (() => Buffer), give: () => void) {
    this.#bytes = bytes;
    this.#give = give;
  }

  get bytes(): Buffer {
    if (typeof this.#bytes !== 'function') return this.#bytes;
    if (this.#references === 0) throw new Error('slab used after its last release');
    return (this.#bytes = this.#bytes());
  }

  retain(): Slab {
    if (this.#references === 0) throw new Error('slab retained after its last release');
    this.#references += 1;
    return this;
  }

  release(): void {
    if (this.#references === 0) throw new Error('slab released twice');
    this.#references -= 1;
    if (this.#references === 0) this.#give();
  }

  slice(start: number, end: number): Slab {
    this.retain();
    const part = (): Buffer => this.bytes.subarray(start, end);
    return new PooledSlab(typeof this.#bytes === 'function' ? part : part(), () => this.release());
  }

  narrow(start: number, end: number): Slab {
    if (this.#references === 1) {
      this.#bytes = this.bytes.subarray(start, end);
      return this;
    }
    const part = this.slice(start, end);
    this.release();
    return part;
  }
}

export class MemoryGovernor {
  readonly limitBytes: number;
  /**
   * In slabs. Whoever will hold several slabs at different times, and wait for some while it holds others, takes a
   * ticket for all of them first. All tickets together leave room under the limit, so that their holders never wait for
   * each other; what is over is for L1, for writes behind and for answers that are on their way.
   */
  readonly tickets: Semaphore;
  readonly #arenas: SlabArenas;
  readonly #free: Buffer[] = [];
  readonly #waiters = new Set<Waiter>();
  readonly #reclaimers = new Set<(slabs: number) => void>();
  #inUse = 0;
  #waking = false;

  /** @param options.prefault for memory that is new to slabs, where much is used at once */
  constructor(options: { limitBytes: number; prefault?: Prefault | undefined }) {
    this.limitBytes = Math.max(SLAB_BYTES, Math.floor(options.limitBytes / SLAB_BYTES) * SLAB_BYTES);
    const slabsMax = this.limitBytes / SLAB_BYTES;
    this.#arenas = new SlabArenas({ slabBytes: SLAB_BYTES, slabsMax, prefault: options.prefault });
    this.tickets = new Semaphore(Math.max(1, Math.floor(slabsMax * TICKET_SHARE)));
  }

  get inUseBytes(): number {
    return this.#inUse * SLAB_BYTES;
  }

  /** Demand that waits for slabs, or for its turn to want some. */
  get waiting(): number {
    return this.#waiters.size + this.tickets.waiting;
  }

  /** Registers a holder of slabs that can do without (L1); it is asked for that many when demand would wait. */
  onPressure(reclaim: (slabs: number) => void): () => void {
    this.#reclaimers.add(reclaim);
    return () => this.#reclaimers.delete(reclaim);
  }

  /**
   * Slabs whose views have the given lengths (each at most SLAB_BYTES), all of them at once, so that two half-served
   * requests never wait for each other. The caller owns one reference of each.
   * @returns undefined when the speculation lane is refused
   */
  async acquire(
    lengths: readonly number[],
    options: { lane: Lane; signal?: AbortSignal | undefined },
  ): Promise<Slab[] | undefined> {
    const { lane, signal } = options;
    const count = lengths.length;
    // Else the view would be shorter than was asked for.
    if (lengths.some((length) => length > SLAB_BYTES)) throw new RangeError(`a slab has ${SLAB_BYTES} bytes at most`);
    if (count * SLAB_BYTES > this.limitBytes) {
      throw new RangeError(`${count} slabs at once are over the memory limit of ${this.limitBytes} bytes`);
    }
    if (signal?.aborted) throw abortError(signal);
    if (lane === 'speculation') {
      // A quarter is kept for demand, so that a prefetcher can never be why a reader waits.
      const roomBytes = this.limitBytes * 0.75 - this.inUseBytes;
      if (this.#waiters.size > 0 || count * SLAB_BYTES > roomBytes) return undefined;
    }
    if (this.#waiters.size === 0 && !this.#fits(count)) this.#reclaim(count);
    if (this.#waiters.size === 0 && this.#fits(count)) return this.#take(lengths);
    return new Promise((resolve, reject) => {
      const cancel = (): void => {
        this.#waiters.delete(waiter);
        reject(abortError(signal!));
        this.#wake();
      };
      const waiter: Waiter = {
        count,
        grant: () => {
          signal?.removeEventListener('abort', cancel);
          resolve(this.#take(lengths));
        },
      };
      this.#waiters.add(waiter);
      if (signal) onAbort(signal, cancel);
    });
  }

  /** As `acquire`, without waiting: undefined where it would. For holders of a slab that would like more. */
  tryAcquire(lengths: readonly number[]): Slab[] | undefined {
    return this.#waiters.size === 0 && this.#fits(lengths.length) ? this.#take(lengths) : undefined;
  }

  /** As `tryAcquire`, one slab. */
  tryAcquireOne(length: number): Slab | undefined {
    return this.#waiters.size === 0 && this.#fits(1) ? this.#takeOne(length) : undefined;
  }

  #fits(count: number): boolean {
    return (this.#inUse + count) * SLAB_BYTES <= this.limitBytes;
  }

  #reclaim(count: number): void {
    for (const reclaim of this.#reclaimers) {
      const missing = this.#inUse + count - this.limitBytes / SLAB_BYTES;
      if (missing > 0) reclaim(missing);
    }
  }

  #take(lengths: readonly number[]): Slab[] {
    return lengths.map((length) => this.#takeOne(length));
  }

  /**
   * Counted now, and taken at its first use: slabs for thousands of requests are acquired at once, and the later ones then
   * use the memory that the first have given back. Fresh memory costs a fault for each 4 KiB.
   */
  #takeOne(length: number): Slab {
    this.#inUse += 1;
    let whole: Buffer | undefined;
    const use = (): Buffer => {
      whole = this.#free.pop() ?? this.#arenas.take();
      return length === SLAB_BYTES ? whole : whole.subarray(0, length);
    };
    return new PooledSlab(use, () => {
      if (whole) this.#free.push(whole);
      this.#inUse -= 1;
      if (this.#waiters.size > 0) this.#wake();
    });
  }

  #wake(): void {
    // Reclaiming releases slabs, which comes back here: the outer loop sees what they gave.
    if (this.#waking) return;
    this.#waking = true;
    for (const waiter of this.#waiters) {
      if (!this.#fits(waiter.count)) this.#reclaim(waiter.count);
      if (!this.#fits(waiter.count)) break;
      this.#waiters.delete(waiter);
      waiter.grant();
    }
    this.#waking = false;
  }
}
