// When the record reader reads check blocks on its own thread, of those that this process has read before: they lie in the
// operating system's memory as a rule, and handing 16 KiB to another thread costs several times what reading them does.
// One that took long says that they are on the disk again, and for a while none is done so; unless the operating system
// says that it was the processor that others had.

/** From memory 16 KiB take about 5 µs, 128 KiB 20 µs; no disk answers in a tenth of a millisecond. */
const SLOW_MS = 0.1;
/** What a slow one takes of the quick ones before it, where the operating system counted no disk: some it does not count. */
const QUICK_A_SLOW = 64;
const PAUSE_MS_MIN = 10;
const PAUSE_MS_MAX = 1000;
/** So many quick ones in a row, and what was slow before is forgotten. */
const QUICK_ENOUGH = 1000;

/** Blocks that this process had read from disks so far; a page that was in memory adds none. */
function blocksFromDisks(): number {
  return process.resourceUsage().fsRead;
}

export class InlineReads {
  readonly #diskBlocks: () => number;
  /** As of the last slow one. */
  #diskBlocksSeen: number | undefined;
  #pausedUntilMs = 0;
  #pauseMs = PAUSE_MS_MIN;
  /** Since the last slow one, as far as they are not spent on slow ones that no disk was behind. */
  #quick = 0;

  constructor(diskBlocks = blocksFromDisks) {
    this.#diskBlocks = diskBlocks;
  }

  allows(nowMs: number): boolean {
    return nowMs >= this.#pausedUntilMs;
  }

  /** Learns from such a read, also from one that failed. */
  took(time: { readonly startedMs: number; readonly endedMs: number }): void {
    if (time.endedMs - time.startedMs < SLOW_MS) this.#onQuick();
    else this.#onSlow(time.endedMs);
  }

  #onQuick(): void {
    if (this.#quick < QUICK_ENOUGH) this.#quick += 1;
    else this.#pauseMs = PAUSE_MS_MIN;
  }

  #onSlow(nowMs: number): void {
    const seen = this.#diskBlocksSeen;
    this.#diskBlocksSeen = this.#diskBlocks();
    if (this.#diskBlocksSeen === seen && this.#quick >= QUICK_A_SLOW) {
      this.#quick -= QUICK_A_SLOW;
      return;
    }
    this.#quick = 0;
    this.#pausedUntilMs = nowMs + this.#pauseMs;
    this.#pauseMs = Math.min(PAUSE_MS_MAX, 2 * this.#pauseMs);
  }
}
