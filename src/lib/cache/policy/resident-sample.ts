// A bounded, unbiased sample of the pages that are stored, learnt from hits, misses and admissions alone: a page is in
// the sample when its hash falls into one part of `scale` (spatial sampling, as SHARDS does it), so what is in it
// follows the same pages for ever. The policies take their thresholds from it.
import { mix } from './page-hash.ts';

export class ResidentSample {
  readonly #keysMax: number;
  readonly #keys = new Set<number>();
  #scale = 1;

  constructor(keysMax: number) {
    this.#keysMax = keysMax;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** One in this many pages is followed. A power of two. */
  get scale(): number {
    return this.#scale;
  }

  follows(key: number): boolean {
    return (mix(key, 7) & (this.#scale - 1)) === 0;
  }

  set(key: number, stored: boolean): void {
    if (!stored) this.#keys.delete(key);
    else if (this.follows(key)) {
      this.#keys.add(key);
      while (this.#keys.size > this.#keysMax) {
        this.#scale *= 2;
        for (const kept of this.#keys) if (!this.follows(kept)) this.#keys.delete(kept);
      }
    }
  }

  /** The rank below which `share` of the sample lies; 0 where nothing is known. */
  quantile(share: number, rankOf: (key: number) => number): number {
    const ranks = Float64Array.from(this.#keys, rankOf).sort();
    return ranks[Math.floor(ranks.length * share)] ?? 0;
  }
}
