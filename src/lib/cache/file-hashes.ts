// A set of files by their hashes, 12 to 24 bytes each: of a million names, strings would take hundreds. Two files with one
// hash of 64 bits count as one, which for a million files happens once in thirty million times. Pure.
import type { FileHash } from './page-key.ts';

const SLOTS_MIN = 1024;

export class FileHashes {
  /** Open addressing, two words a slot; both 0 where it is free. */
  #words = new Uint32Array(2 * SLOTS_MIN);
  #mask = SLOTS_MIN - 1;
  #size = 0;
  /** The one hash that no slot can hold. */
  #hasZero = false;

  get size(): number {
    return this.#size + (this.#hasZero ? 1 : 0);
  }

  add(hash: FileHash): void {
    if (hash.lo === 0 && hash.hi === 0) {
      this.#hasZero = true;
      return;
    }
    if ((this.#size + 1) * 3 > (this.#mask + 1) * 2) this.#grow();
    const at = 2 * this.#slotOf(hash);
    if (this.#words[at] !== 0 || this.#words[at + 1] !== 0) return;
    this.#words[at] = hash.lo;
    this.#words[at + 1] = hash.hi;
    this.#size += 1;
  }

  has(hash: FileHash): boolean {
    if (hash.lo === 0 && hash.hi === 0) return this.#hasZero;
    const at = 2 * this.#slotOf(hash);
    return this.#words[at] !== 0 || this.#words[at + 1] !== 0;
  }

  /** Its slot, or the free one where it would be. */
  #slotOf({ lo, hi }: FileHash): number {
    const words = this.#words;
    for (let slot = lo & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = 2 * slot;
      if ((words[at] === lo && words[at + 1] === hi) || (words[at] === 0 && words[at + 1] === 0)) return slot;
    }
  }

  #grow(): void {
    const old = this.#words;
    this.#words = new Uint32Array(2 * old.length);
    this.#mask = old.length - 1;
    for (let at = 0; at < old.length; at += 2) {
      const [lo, hi] = [old[at]!, old[at + 1]!];
      if (lo === 0 && hi === 0) continue;
      const to = 2 * this.#slotOf({ lo, hi });
      this.#words[to] = lo;
      this.#words[to + 1] = hi;
    }
  }
}
