// `retain`: admit until the cache is full, then keep what is there. Optimal for shuffled epochs over one data set, where
// every stored page will be read exactly once an epoch and exchanging one for another gains nothing.
import type { Fullness, Policy } from './policy.ts';

export class Retain implements Policy {
  use(): void {
    // All pages are worth the same.
  }

  admits(_key: number, state: Fullness): boolean {
    return !state.full;
  }

  score(): number {
    return 1;
  }

  store(): void {
    // Nothing is remembered.
  }
}
