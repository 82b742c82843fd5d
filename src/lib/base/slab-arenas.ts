// Memory for slabs, for the memory governor: taken in few pieces that grow, and made resident ahead of its use where much
// of it is used at once. Knows nothing of who holds slabs; what was given is never taken back here.
import { pageAlignedMemory } from './page-aligned.ts';

/**
 * Makes memory resident, on another thread, by filling it with zeros; nobody else may touch it meanwhile. Resolves when it
 * is done, also where it could not be.
 */
export type Prefault = (memory: Buffer) => Promise<void>;

const FIRST_ARENA_SLABS = 16;
/** Each piece of memory is so many times as large as all before it, up to a bound. */
const ARENA_GROWTH = 7;
const ARENA_SLABS_MAX = 4096;
/** Whoever has used fewer may not need more. */
const PREFAULT_AFTER_SLABS = 16;
/** As much as was used so far, up to a bound; in smaller steps the other thread does not keep ahead. */
const PREFAULT_SLABS_MAX = 64;

export interface SlabArenasOptions {
  readonly slabBytes: number;
  /** That will ever be taken. */
  readonly slabsMax: number;
  readonly prefault?: Prefault | undefined;
}

export class SlabArenas {
  readonly #options: SlabArenasOptions;
  readonly #ready: Buffer[] = [];
  #prefaultingSlabs = 0;
  #slabs = 0;
  #taken = 0;
  #arena: Buffer = Buffer.alloc(0);
  #usedBytes = 0;

  constructor(options: SlabArenasOptions) {
    this.#options = options;
  }

  /** Memory of a slab that was not given before: zeros. */
  take(): Buffer {
    this.#taken += 1;
    const slab = this.#ready.pop() ?? this.#next(1)[0]!;
    if (this.#ready.length < PREFAULT_SLABS_MAX / 2) this.#prefaultNext();
    return slab;
  }

  /** The first touch of a page costs a fault, 1 to 10 us, which whoever copies into it would pay on the event loop. */
  #prefaultNext(): void {
    const { slabBytes, prefault } = this.#options;
    if (!prefault || this.#prefaultingSlabs > 0 || this.#taken < PREFAULT_AFTER_SLABS) return;
    const slabs = Math.min(this.#taken, PREFAULT_SLABS_MAX, (this.#arena.length - this.#usedBytes) / slabBytes);
    if (slabs === 0) return;
    this.#prefaultingSlabs = slabs;
    void this.#prefault(slabs, prefault);
  }

  async #prefault(slabs: number, prefault: Prefault): Promise<void> {
    const start = this.#usedBytes;
    const given = this.#next(slabs);
    await prefault(this.#arena.subarray(start, this.#usedBytes));
    this.#prefaultingSlabs = 0;
    this.#ready.push(...given.reverse());
  }

  #next(count: number): Buffer[] {
    if (this.#usedBytes === this.#arena.length) this.#grow();
    const { slabBytes } = this.#options;
    const start = this.#usedBytes;
    this.#usedBytes += count * slabBytes;
    return Array.from({ length: count }, (_, index) =>
      this.#arena.subarray(start + index * slabBytes, start + (index + 1) * slabBytes),
    );
  }

  #grow(): void {
    const { slabBytes, slabsMax } = this.#options;
    const grown = Math.max(FIRST_ARENA_SLABS, Math.min(this.#slabs * ARENA_GROWTH, ARENA_SLABS_MAX));
    // What is being prefaulted may be the last there is: as many more are not needed for long, but now.
    const slabs = Math.max(1, this.#prefaultingSlabs, Math.min(grown, slabsMax - this.#slabs));
    this.#arena = pageAlignedMemory(slabs * slabBytes);
    this.#usedBytes = 0;
    this.#slabs += slabs;
  }
}
