// A token bucket over an injected clock: so many tokens a second, a bounded number saved up. It never waits by itself.
import type { Clock } from './clock.ts';

export class TokenBucket {
  readonly #clock: Clock;
  readonly #burst: number;
  #ratePerS: number;
  #tokens: number;
  #filledAtMs: number;

  /** Begins full. `burst`: tokens that can be saved up, at least 1. */
  constructor(options: { readonly ratePerS: number; readonly burst: number; readonly clock: Clock }) {
    this.#clock = options.clock;
    this.#burst = Math.max(1, options.burst);
    this.#ratePerS = options.ratePerS;
    this.#tokens = this.#burst;
    this.#filledAtMs = options.clock.monotonicMs();
  }

  get ratePerS(): number {
    return this.#ratePerS;
  }

  /** From now on; what was saved up stays. */
  set ratePerS(ratePerS: number) {
    this.#fill();
    this.#ratePerS = ratePerS;
  }

  /** Throws away what was saved up. */
  drain(): void {
    this.#fill();
    this.#tokens = Math.min(this.#tokens, 0);
  }

  tryTake(): boolean {
    this.#fill();
    // Sums of fractions may end a hair below 1 after exactly the announced delay.
    if (this.#tokens < 1 - 1e-9) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Takes so many whether they are there or not: what follows waits until the debt is paid. Negative gives back. */
  spend(tokens: number): void {
    this.#fill();
    this.#tokens = Math.min(this.#burst, this.#tokens - tokens);
  }

  /** Milliseconds until a token is there, if nobody takes one meanwhile. */
  delayMs(): number {
    this.#fill();
    return this.#tokens >= 1 ? 0 : ((1 - this.#tokens) / this.#ratePerS) * 1000;
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs();
    const gained = this.#ratePerS === Infinity ? Infinity : ((nowMs - this.#filledAtMs) / 1000) * this.#ratePerS;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#filledAtMs = nowMs;
  }
}
