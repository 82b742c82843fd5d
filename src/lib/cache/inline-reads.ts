// Which reads of check blocks the record reader does on its own thread: short ones of blocks that this process has read
// before, since those lie in the operating system's memory, and handing 16 KiB to another thread costs several times what
// reading them does. One that took long says that they are on the disk again, and for a while none is done so.

/** A range of 4 KiB touches one or two check blocks of 16 KiB. */
const BYTES_MAX = 64 * 1024;
/** From memory 16 KiB take about 5 µs; no disk answers in a tenth of a millisecond. */
const SLOW_MS = 0.1;
const PAUSE_MS_MIN = 10;
const PAUSE_MS_MAX = 1000;
/** So many quick ones in a row, and what was slow before is forgotten. */
const QUICK_ENOUGH = 1000;

export class InlineReads {
  readonly #clock: { monotonicMs(): number };
  #pausedUntilMs = 0;
  #pauseMs = PAUSE_MS_MIN;
  #quick = 0;

  constructor(clock: { monotonicMs(): number }) {
    this.#clock = clock;
  }

  /** `readBefore`: of each check block of the record, 1 where it was. */
  allows(
    readBefore: Uint8Array,
    blocks: { readonly first: number; readonly count: number; readonly bytes: number },
  ): boolean {
    if (blocks.bytes > BYTES_MAX || this.#clock.monotonicMs() < this.#pausedUntilMs) return false;
    for (let block = blocks.first; block < blocks.first + blocks.count; block += 1) {
      if (readBefore[block] !== 1) return false;
    }
    return true;
  }

  /** Runs such a read, and learns from it. */
  run<T>(read: () => T): T {
    const startedMs = this.#clock.monotonicMs();
    try {
      return read();
    } finally {
      const endedMs = this.#clock.monotonicMs();
      if (endedMs - startedMs < SLOW_MS) this.#onQuick();
      else this.#onSlow(endedMs);
    }
  }

  #onQuick(): void {
    this.#quick += 1;
    if (this.#quick >= QUICK_ENOUGH) this.#pauseMs = PAUSE_MS_MIN;
  }

  #onSlow(nowMs: number): void {
    this.#quick = 0;
    this.#pausedUntilMs = nowMs + this.#pauseMs;
    this.#pauseMs = Math.min(PAUSE_MS_MAX, 2 * this.#pauseMs);
  }
}
