// `lru`: admit everything, keep what was used last. For a log of whole segments: when a segment goes, the pages of it
// that were used later than a share of all stored pages are written again.
import type { Policy } from './policy.ts';
import { ResidentSample } from './resident-sample.ts';
import { RecencySketch } from './sketch.ts';

const SAMPLE_KEYS_MAX = 512;
/** This share of the stored pages, the coldest, may go. */
const COLD_SHARE = 0.25;

export class Lru implements Policy {
  readonly #recency = new RecencySketch();
  readonly #stored = new ResidentSample(SAMPLE_KEYS_MAX);
  #tick = 0;
  #threshold = 0;
  #thresholdTick = 0;

  use(key: number, found: boolean): void {
    this.#tick += 1;
    this.#recency.set(key, this.#tick);
    this.#stored.set(key, found);
  }

  admits(key: number): boolean {
    this.#stored.set(key, true);
    return true;
  }

  score(key: number): number {
    if (this.#tick - this.#thresholdTick >= 64 || this.#thresholdTick === 0) {
      this.#threshold = this.#stored.quantile(COLD_SHARE, (stored) => this.#recency.last(stored));
      this.#thresholdTick = this.#tick;
    }
    return this.#recency.last(key) - this.#threshold;
  }

  dropped(key: number): void {
    this.#stored.set(key, false);
  }
}
