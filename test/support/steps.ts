// A scheduler of promise steps: work under test waits at named steps, and a seed decides who goes on. When nobody can go
// on and work is left, that is a deadlock, reported with the steps that were taken.
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../src/lib/base/clock.ts';
import { abortError } from '../../src/lib/base/errors.ts';
import { seededRandom } from '../../src/lib/base/random.ts';

interface Waiting {
  readonly name: string;
  readonly go: () => void;
}

export class Steps {
  readonly #random: () => number;
  readonly #waiting: Waiting[] = [];
  readonly #taken: string[] = [];
  #elapsedMs = 0;

  constructor(seed: number) {
    const random = seededRandom(seed);
    this.#random = () => random.unit();
  }

  /** Resolves when it is this step's turn. */
  step(name: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ name, go: resolve }));
  }

  /** A whole number in [0, below). */
  pick(below: number): number {
    return Math.floor(this.#random() * below);
  }

  get taken(): readonly string[] {
    return this.#taken;
  }

  /** Time passes with the steps; a sleep is a step like any other. */
  readonly clock: Clock = {
    nowMs: () => 1_700_000_000_000 + this.#elapsedMs,
    monotonicMs: () => this.#elapsedMs,
    uptimeMs: () => this.#elapsedMs,
    sleep: async (_delayMs, signal) => {
      await this.step('sleep');
      if (signal?.aborted) throw abortError(signal);
    },
  };

  /** Lets everybody go on, one step at a time, until the work is done. @throws when nobody can */
  async run(work: Promise<unknown>, stepsMax = 5000): Promise<void> {
    const state = { done: false };
    const settled = work.then(
      () => (state.done = true),
      () => (state.done = true),
    );
    for (let count = 0; !state.done; count += 1) {
      // Long enough for every promise that can settle by itself.
      await setImmediate();
      if (state.done) break;
      if (this.#waiting.length === 0 || count >= stepsMax) {
        const last = this.#taken.slice(-30).join(', ');
        throw new Error(`${count >= stepsMax ? 'no end' : 'deadlock'} after ${count} steps: … ${last}`);
      }
      const [next] = this.#waiting.splice(this.pick(this.#waiting.length), 1);
      this.#elapsedMs += 1;
      this.#taken.push(next!.name);
      next!.go();
    }
    await settled;
  }
}
