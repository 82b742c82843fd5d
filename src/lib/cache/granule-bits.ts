// Which granules of a page are held: what lookups in L1 and L2 add up to. Pure.
import type { Presence } from './page-cache.ts';

export class GranuleBits implements Presence {
  readonly #held: Uint8Array;
  #missing: number;

  constructor(granules: number) {
    this.#held = new Uint8Array(granules);
    this.#missing = granules;
  }

  get complete(): boolean {
    return this.#missing === 0;
  }

  has(granule: number): boolean {
    return this.#held[granule] === 1;
  }

  /** What lies past the page is passed over: it came from disk. */
  add(first: number, count: number): void {
    const end = Math.min(first + count, this.#held.length);
    for (let granule = first; granule < end; granule += 1) {
      if (this.#held[granule] === 1) continue;
      this.#held[granule] = 1;
      this.#missing -= 1;
    }
  }

  /** Maximal runs of granules in [first, first + count) that are not held, in order. */
  *missingRuns(first: number, count: number): Generator<{ first: number; count: number }> {
    let start = -1;
    for (let granule = first; granule <= first + count; granule += 1) {
      const missing = granule < first + count && !this.has(granule);
      if (missing && start < 0) start = granule;
      if (missing || start < 0) continue;
      yield { first: start, count: granule - start };
      start = -1;
    }
  }
}
