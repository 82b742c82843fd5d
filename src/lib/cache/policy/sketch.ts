// Two fixed-size memories of how pages were used, for the policies: how often (a count-min sketch that forgets by
// halving) and how lately. Both grow by doubling up to a bound, whatever the number of pages; both may flatter a page
// that shares its cells with others, never the opposite.
import { mix } from './page-hash.ts';

const CELLS_MIN = 4096;
const CELLS_MAX = 8 * 1024 * 1024;
/** Cells a key that was seen: below this, a table doubles. */
const CELLS_PER_KEY = 16;
const COUNT_MAX = 255;

/** How often a page was used, halved now and then. One byte a cell. */
export class FrequencySketch {
  #counts = new Uint8Array(CELLS_MIN);
  #keys = 0;

  count(key: number): number {
    const mask = this.#counts.length - 1;
    return Math.min(
      this.#counts[mix(key, 1) & mask]!,
      this.#counts[mix(key, 2) & mask]!,
      this.#counts[mix(key, 3) & mask]!,
    );
  }

  add(key: number): void {
    const counts = this.#counts;
    const mask = counts.length - 1;
    const [a, b, c] = [mix(key, 1) & mask, mix(key, 2) & mask, mix(key, 3) & mask];
    const count = Math.min(counts[a]!, counts[b]!, counts[c]!);
    if (count === COUNT_MAX) return;
    // Conservative update: only the cells that bound the count may be this key's own.
    for (const cell of [a, b, c]) if (counts[cell] === count) counts[cell] = count + 1;
    if (count === 0) this.#keys += 1;
    if (this.#keys * CELLS_PER_KEY > counts.length && counts.length < CELLS_MAX) this.#counts = doubled(counts);
  }

  halve(): void {
    const counts = this.#counts;
    for (let cell = 0; cell < counts.length; cell += 1) counts[cell] = counts[cell]! >> 1;
    this.#keys = Math.floor(this.#keys / 2);
  }
}

/** When a page was used last, as a number of uses. Four bytes a cell. */
export class RecencySketch {
  #ticks = new Uint32Array(CELLS_MIN);
  #keys = 0;

  /** 0: never. */
  last(key: number): number {
    const mask = this.#ticks.length - 1;
    return Math.min(this.#ticks[mix(key, 1) & mask]!, this.#ticks[mix(key, 2) & mask]!);
  }

  set(key: number, tick: number): void {
    if (this.last(key) === 0) this.#keys += 1;
    const mask = this.#ticks.length - 1;
    this.#ticks[mix(key, 1) & mask] = tick;
    this.#ticks[mix(key, 2) & mask] = tick;
    if (this.#keys * CELLS_PER_KEY > this.#ticks.length && this.#ticks.length < CELLS_MAX / 4) {
      const ticks = new Uint32Array(this.#ticks.length * 2);
      ticks.set(this.#ticks);
      ticks.set(this.#ticks, this.#ticks.length);
      this.#ticks = ticks;
    }
  }
}

/** Twice the cells. A key finds its old count in either half, so nothing is forgotten. */
function doubled(cells: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const twice = new Uint8Array(cells.length * 2);
  twice.set(cells);
  twice.set(cells, cells.length);
  return twice;
}
