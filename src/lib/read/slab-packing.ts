// Small granules share slabs: a slab each would be 32 times the memory of files of 4 KiB, and a load is planned together
// only as far as its memory goes. For the loader and whoever sizes loads for it; knows pages and memory, no caches.
import { SLAB_BYTES, type Lane, type MemoryGovernor, type Slab } from '../base/memory.ts';

/** Longer granules have a slab each: none that is shared is left with more than a quarter of it unused, but the last. */
const PACKED_BYTES_MAX = SLAB_BYTES / 4;

export function isPacked(granuleBytes: number): boolean {
  return granuleBytes <= PACKED_BYTES_MAX;
}

/** How many slabs granules need, whatever order they come in. */
export class SlabNeed {
  #whole = 0;
  #packed = 0;
  #packedBytes = 0;

  get slabs(): number {
    return this.#whole + Math.min(this.#packed, Math.ceil(this.#packedBytes / (SLAB_BYTES - PACKED_BYTES_MAX)));
  }

  /** Adds granules that have a slab each, or, unless they are the first, leaves them where it would be too many. */
  addWhole(granules: number, slabsMax = Infinity): boolean {
    if (this.slabs > 0 && this.slabs + granules > slabsMax) return false;
    this.#whole += granules;
    return true;
  }

  /** The same of one that shares a slab. */
  addPacked(granuleBytes: number, slabsMax = Infinity): boolean {
    this.#packed += 1;
    this.#packedBytes += granuleBytes;
    if (this.#packed + this.#whole === 1 || this.slabs <= slabsMax) return true;
    this.#packed -= 1;
    this.#packedBytes -= granuleBytes;
    return false;
  }
}

/**
 * A slab for each granule, of its length, which the caller owns; as `MemoryGovernor.acquire`. What is shared goes back to
 * the governor with the last of those that share it.
 */
export async function acquirePacked(
  memory: MemoryGovernor,
  granuleBytes: readonly number[],
  options: { lane: Lane; signal?: AbortSignal | undefined },
): Promise<Slab[] | undefined> {
  const { lengths, places } = packed(granuleBytes);
  const slabs = await memory.acquire(lengths, options);
  if (!slabs) return undefined;
  const granules = places.map(({ slab, start }, index) => {
    const bytes = granuleBytes[index]!;
    return isPacked(bytes) ? slabs[slab]!.slice(start, start + bytes) : slabs[slab]!.retain();
  });
  for (const slab of slabs) slab.release();
  return granules;
}

/** Lengths of the slabs, and where in which of them each granule is. */
export function packed(granuleBytes: readonly number[]): {
  readonly lengths: readonly number[];
  readonly places: readonly { readonly slab: number; readonly start: number }[];
} {
  const lengths: number[] = [];
  let open: number | undefined;
  const places = granuleBytes.map((bytes) => {
    if (!isPacked(bytes)) return { slab: lengths.push(bytes) - 1, start: 0 };
    if (open === undefined || lengths[open]! + bytes > SLAB_BYTES) open = lengths.push(0) - 1;
    const start = lengths[open]!;
    lengths[open] = start + bytes;
    return { slab: open, start };
  });
  return { lengths, places };
}
