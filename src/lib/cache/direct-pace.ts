// Decides whether records are written past the operating system's page cache: yes, while the disk keeps up. New page cache
// costs more processor time than the disk's own copy of the bytes takes, and pushes out what readers use; but it hides a
// disk that is slower than the network for as long as memory lasts. For the log writer; does no I/O.
import type { Clock } from '../base/clock.ts';
import { KIB, MIB } from '../base/units.ts';

/** Less than this at once is a matter of latency, which the page cache hides. */
const DIRECT_BYTES_MIN = 256 * KIB;
/** A disk that takes this keeps up with the networks that data comes over. */
const PACE_BYTES_PER_MS = (400 * MIB) / 1000;
/** How far it may fall behind that before it counts as slow, and how long it then does. */
const BEHIND_MS_MAX = 250;
const SLOW_FOR_MS = 10_000;

export class DirectPace {
  readonly #clock: Clock;
  #behindMs = 0;
  #slowUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Shall so many bytes be written past the page cache? */
  allows(bytes: number): boolean {
    return bytes >= DIRECT_BYTES_MIN && this.#clock.monotonicMs() >= this.#slowUntilMs;
  }

  /** They were, and it took so long. */
  wrote(bytes: number, tookMs: number): void {
    this.#behindMs = Math.max(0, this.#behindMs + tookMs - bytes / PACE_BYTES_PER_MS);
    if (this.#behindMs < BEHIND_MS_MAX) return;
    this.#behindMs = 0;
    this.#slowUntilMs = this.#clock.monotonicMs() + SLOW_FOR_MS;
  }
}
