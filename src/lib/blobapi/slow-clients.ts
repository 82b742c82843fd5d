// Clients that take nothing of an answer that is ready for them: broken off after a while, and sooner while others wait
// for the memory that their answers hold.
import type { Clock } from '../base/clock.ts';
import { SeekfsError } from '../base/errors.ts';
import { SLAB_BYTES, type MemoryGovernor } from '../base/memory.ts';
import type { Exchange } from './exchange.ts';
import type { Limits } from './limits.ts';

const SWEEP_MS = 1000;

export class SlowClients {
  readonly #active: Iterable<Exchange>;
  readonly #memory: MemoryGovernor;
  readonly #clock: Clock;
  readonly #limits: Limits;
  readonly #onBreak: () => void;
  readonly #timer: NodeJS.Timeout;
  readonly #leave: () => void;

  constructor(parts: {
    active: Iterable<Exchange>;
    memory: MemoryGovernor;
    clock: Clock;
    limits: Limits;
    onBreak: () => void;
  }) {
    this.#active = parts.active;
    this.#memory = parts.memory;
    this.#clock = parts.clock;
    this.#limits = parts.limits;
    this.#onBreak = parts.onBreak;
    this.#timer = setInterval(() => this.#sweep(), Math.min(SWEEP_MS, parts.limits.writeStallMsMax));
    this.#timer.unref();
    this.#leave = parts.memory.onPressure((slabs) => this.#relieve(slabs));
  }

  #sweep(): void {
    for (const exchange of this.#blockedFor(this.#limits.writeStallMsMax)) this.#break(exchange);
    if (this.#memory.waiting > 0) this.#relieve(this.#memory.waiting);
  }

  /** Those that have taken nothing for longer than that. */
  #blockedFor(stallMs: number): Exchange[] {
    const longAgoMs = this.#clock.monotonicMs() - stallMs;
    return [...this.#active].filter((exchange) => {
      exchange.lookForProgress();
      return exchange.blockedSinceMs !== undefined && exchange.blockedSinceMs < longAgoMs;
    });
  }

  /** Breaks off as many as hold that many slabs, the longest blocked first. */
  #relieve(slabs: number): void {
    const blocked = this.#blockedFor(this.#limits.writeStallUnderPressureMsMax).sort(
      (a, b) => a.blockedSinceMs! - b.blockedSinceMs!,
    );
    let freed = 0;
    for (const exchange of blocked) {
      if (freed >= slabs) return;
      freed += Math.max(1, Math.ceil(exchange.heldBytes / SLAB_BYTES));
      this.#break(exchange);
    }
  }

  #break(exchange: Exchange): void {
    this.#onBreak();
    exchange.breakOff(new SeekfsError('interrupted', 'the client took nothing for too long'));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#leave();
  }
}
