// Two bounded memories of how pages were used, for the policies: how often, and how lately. Both are hashed tables
// without keys, so both may flatter a page that shares its cells with others.
import { mix } from './page-hash.ts';

const CELLS_MIN = 64 * 1024;
/** Bound both memories at 4 MiB a table. */
const COUNT_CELLS_MAX = 4 * 1024 * 1024;
const TICK_CELLS_MAX = 1024 * 1024;
const CELLS_PER_PAGE = 32;
const COUNT_MAX = 255;

function cellsFor(pages: number, cellsMax: number): number {
  let cells = CELLS_MIN;
  while (cells < pages * CELLS_PER_PAGE && cells < cellsMax) cells *= 2;
  return cells;
}

/**
 * How often a page was used: a count-min sketch (one byte a cell) that is halved now and then, so that what was
 * popular once is forgotten. Sized by the pages that are stored: of the many others only the popular ones matter.
 */
export class FrequencySketch {
  #counts = new Uint8Array(CELLS_MIN);

  count(key: number): number {
    const counts = this.#counts;
    const mask = counts.length - 1;
    return Math.min(counts[mix(key, 1) & mask]!, counts[mix(key, 2) & mask]!, counts[mix(key, 3) & mask]!);
  }

  add(key: number): void {
    const counts = this.#counts;
    const mask = counts.length - 1;
    const a = mix(key, 1) & mask;
    const b = mix(key, 2) & mask;
    const c = mix(key, 3) & mask;
    const count = Math.min(counts[a]!, counts[b]!, counts[c]!);
    if (count === COUNT_MAX) return;
    // Conservative update: only the cells that bound the count may be this key's own.
    if (counts[a] === count) counts[a] = count + 1;
    if (counts[b] === count) counts[b] = count + 1;
    if (counts[c] === count) counts[c] = count + 1;
  }

  /** Makes room for that many stored pages; what was counted stays counted. */
  reserve(pages: number): void {
    const cells = cellsFor(pages, COUNT_CELLS_MAX);
    while (this.#counts.length < cells) {
      // Every key finds its count in the half that its next hash bit points to.
      const twice = new Uint8Array(this.#counts.length * 2);
      twice.set(this.#counts);
      twice.set(this.#counts, this.#counts.length);
      this.#counts = twice;
    }
  }

  halve(): void {
    const counts = this.#counts;
    for (let cell = 0; cell < counts.length; cell += 1) counts[cell] = counts[cell]! >> 1;
  }
}

/**
 * When a page was used last, as a number of uses: two tables (four bytes a cell), the current and the one before it.
 * When the current one has seen its share of pages a new one begins, twice as large, and the oldest is forgotten.
 */
export class RecencySketch {
  #current: Uint32Array;
  #previous: Uint32Array = new Uint32Array(1);
  #keys = 0;

  /** @param pages as many at least are told apart from the start */
  constructor(pages = 0) {
    this.#current = new Uint32Array(cellsFor(pages, TICK_CELLS_MAX));
  }

  /** 0: never, as far as is remembered. */
  last(key: number): number {
    return lastIn(this.#current, key) || lastIn(this.#previous, key);
  }

  set(key: number, tick: number): void {
    const ticks = this.#current;
    const mask = ticks.length - 1;
    if (lastIn(ticks, key) === 0) this.#keys += 1;
    ticks[mix(key, 1) & mask] = tick;
    ticks[mix(key, 2) & mask] = tick;
    if (this.#keys * CELLS_PER_PAGE <= ticks.length) return;
    this.#previous = ticks;
    this.#current = new Uint32Array(Math.min(ticks.length * 2, TICK_CELLS_MAX));
    this.#keys = 0;
  }
}

function lastIn(ticks: Uint32Array, key: number): number {
  const mask = ticks.length - 1;
  return Math.min(ticks[mix(key, 1) & mask]!, ticks[mix(key, 2) & mask]!);
}
