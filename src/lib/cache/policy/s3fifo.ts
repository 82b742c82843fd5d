// `s3fifo`: for skewed mixed traffic. The main queue and the ghosts of S3-FIFO (Yang et al., SOSP 2023) for a log of
// whole segments; L1 is the small queue. When the cache is full a page is written only when it is used more often than
// what is stored, so one scan writes nothing; when a segment goes, the pages above the threshold are written again.
// How often pages are used, stored or not, is kept in a sketch, as in TinyLFU (Einziger et al., 2017).
import type { Fullness, Policy } from './policy.ts';
import { ResidentSample } from './resident-sample.ts';
import { FrequencySketch } from './sketch.ts';

const SAMPLE_KEYS_MAX = 512;
/** This share of the stored pages, the least used, may go. */
const COLD_SHARE = 0.2;
/** A newcomer must beat the threshold by this much: noise must not exchange equals. */
const MARGIN = 2;
/** Uses a stored page after which all counts are halved. */
const HALVE_AFTER_USES = 160;
const HALVE_AFTER_USES_MIN = 4096;
const THRESHOLD_EVERY_QUESTIONS = 64;

export class S3Fifo implements Policy {
  readonly #frequency = new FrequencySketch();
  readonly #stored = new ResidentSample(SAMPLE_KEYS_MAX);
  #threshold = 0;
  #usesSinceHalving = 0;
  #questions = 0;

  use(key: number, found: boolean): void {
    this.#frequency.add(key);
    this.#stored.set(key, found);
    this.#usesSinceHalving += 1;
  }

  admits(key: number, state: Fullness): boolean {
    if (!state.full) return true;
    this.#frequency.reserve(state.residentPages);
    this.#forget(state.residentPages);
    if (this.#questions % THRESHOLD_EVERY_QUESTIONS === 0) this.#measure();
    this.#questions += 1;
    return this.#frequency.count(key) >= this.#threshold + MARGIN;
  }

  score(key: number): number {
    return this.#frequency.count(key) - this.#threshold;
  }

  store(key: number, stored: boolean): void {
    this.#stored.set(key, stored);
  }

  #measure(): void {
    this.#threshold = this.#stored.quantile(COLD_SHARE, (stored) => this.#frequency.count(stored));
  }

  #forget(residentPages: number): void {
    if (this.#usesSinceHalving < Math.max(HALVE_AFTER_USES_MIN, residentPages * HALVE_AFTER_USES)) return;
    this.#usesSinceHalving = 0;
    this.#frequency.halve();
    this.#measure();
  }
}
