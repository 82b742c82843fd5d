// When a slow GET is worth a second one, and how many seconds there may be. Pure: the latencies come from the hedge
// decorator, which also sends.

/** Buckets grow by this factor: a quantile is right to within that. */
const BUCKET_GROWTH = 1.1;
const LATENCY_MS_MIN = 0.1;
const LATENCY_MS_MAX = 120_000;
const BUCKETS = Math.ceil(Math.log(LATENCY_MS_MAX / LATENCY_MS_MIN) / Math.log(BUCKET_GROWTH)) + 1;
/** Of what was seen at this many samples half is forgotten, so that the quantile follows the store. */
const SAMPLES_MAX = 2000;

/** A quantile of the latencies of late. */
export class LatencyQuantile {
  readonly #share: number;
  readonly #samplesMin: number;
  readonly #counts = new Float64Array(BUCKETS);
  #samples = 0;

  /** `share`: 0.98 is the latency that 2 % of the requests are over. */
  constructor(options: { readonly share: number; readonly samplesMin: number }) {
    this.#share = options.share;
    this.#samplesMin = options.samplesMin;
  }

  observe(latencyMs: number): void {
    const bucket = Math.ceil(Math.log(Math.max(latencyMs, LATENCY_MS_MIN) / LATENCY_MS_MIN) / Math.log(BUCKET_GROWTH));
    this.#counts[Math.min(bucket, BUCKETS - 1)]! += 1;
    this.#samples += 1;
    if (this.#samples < SAMPLES_MAX) return;
    this.#samples = 0;
    for (let index = 0; index < BUCKETS; index += 1) this.#samples += this.#counts[index]! /= 2;
  }

  /** At least that share was no slower; undefined while too little was seen. */
  get ms(): number | undefined {
    if (this.#samples < this.#samplesMin) return undefined;
    let left = this.#samples * this.#share;
    for (let index = 0; index < BUCKETS; index += 1) {
      left -= this.#counts[index]!;
      if (left <= 1e-9) return LATENCY_MS_MIN * BUCKET_GROWTH ** index;
    }
    return LATENCY_MS_MAX;
  }
}

/** So many extra requests for each request, never more, with a few saved up for when the store stumbles. */
export class HedgeBudget {
  readonly #share: number;
  readonly #savedMax: number;
  #saved = 0;

  constructor(options: { readonly share: number; readonly savedMax: number }) {
    this.#share = options.share;
    this.#savedMax = options.savedMax;
  }

  /** A request was sent. */
  earn(): void {
    this.#saved = Math.min(this.#savedMax, this.#saved + this.#share);
  }

  get isThere(): boolean {
    return this.#saved >= 1 - 1e-9;
  }

  take(): void {
    this.#saved -= 1;
  }
}
