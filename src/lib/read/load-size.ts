// How much memory a load may need at once, before it is known what of it is in flight: for its ticket, and for whoever
// cuts a request into loads.
import { andThen, type MaybePromise } from '../base/maybe-promise.ts';
import type { Lane } from '../base/memory.ts';
import type { PageCache } from '../cache/page-cache.ts';
import { granuleCount, granulesOf } from '../page/page.ts';
import type { PagePiece } from './pages.ts';
import { roundToQuantum } from './plan.ts';
import { isPacked, SlabNeed } from './slab-packing.ts';

export class LoadSize {
  readonly #cache: PageCache;
  readonly #quantumBytes: number;
  readonly #mayPack: boolean;
  readonly #need = new SlabNeed();
  readonly #packed = new Set<string>();

  /**
   * Only demand shares slabs. Speculation is bounded by memory alone, and what is remembered of a small file on its way
   * to the disk is not small.
   */
  constructor(options: { cache: PageCache; quantumBytes: number; lane: Lane }) {
    this.#cache = options.cache;
    this.#mayPack = options.lane === 'demand';
    this.#quantumBytes = options.quantumBytes;
  }

  get slabs(): number {
    return this.#need.slabs;
  }

  /** Is the piece expected to share a slab? What comes from the cache has one for itself. */
  packs(piece: PagePiece): boolean {
    return this.#packed.has(piece.filePage.key);
  }

  /** Adds the piece, or, unless it is the first, leaves it where it would be too much. @returns whether it was added */
  add(piece: PagePiece, slabsMax = Infinity): MaybePromise<boolean> {
    const { page, whole, key } = piece.filePage;
    if (!this.#mayPack || !isPacked(page.len)) {
      const held = whole ? granuleCount(page) : roundToQuantum(page, granulesOf(piece), this.#quantumBytes).count;
      return this.#need.addWhole(held, slabsMax);
    }
    return andThen(this.#cache.presence(page), ({ complete }) => {
      if (complete) return this.#need.addWhole(1, slabsMax);
      if (!this.#need.addPacked(page.len, slabsMax)) return false;
      this.#packed.add(key);
      return true;
    });
  }
}
