// `lru`: admit everything, keep what was used last. For a log of whole segments: when a segment goes, the pages of it
// that were used later than a share of all stored pages are written again.
import type { Policy } from './policy.ts';
import { ResidentSample } from './resident-sample.ts';
import { RecencySketch } from './sketch.ts';

const SAMPLE_KEYS_MAX = 512;
/** This share of the stored pages, the coldest, may go. */
const COLD_SHARE = 0.25;

export class Lru implements Policy {
  readonly #recency: RecencySketch;
  readonly #stored = new ResidentSample(SAMPLE_KEYS_MAX);
  #tick = 0;
  #threshold = 0;
  #thresholdTick = 0;

  /** @param pages that are likely to be used, where that is known */
  constructor(pages = 0) {
    this.#recency = new RecencySketch(pages);
  }

  use(key: number, found: boolean): void {
    this.#tick += 1;
    this.#recency.set(key, this.#tick);
    this.#stored.set(key, found);
  }

  /** The number of the use that was the page's last; 0: none yet. */
  lastUse(key: number): number {
    return this.#recency.last(key);
  }

  admits(): boolean {
    return true;
  }

  score(key: number): number {
    if (this.#tick - this.#thresholdTick >= 64 || this.#thresholdTick === 0) {
      this.#threshold = this.#stored.quantile(COLD_SHARE, (stored) => this.#recency.last(stored));
      this.#thresholdTick = this.#tick;
    }
    return this.#recency.last(key) - this.#threshold;
  }

  store(key: number, stored: boolean): void {
    this.#stored.set(key, stored);
  }
}
