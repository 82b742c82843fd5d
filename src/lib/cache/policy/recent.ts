// Tells a new use of a page from the rest of one: readers take a page in many small steps, and several may take turns.

/** More readers than this, each in a page of its own, and steps begin to count as uses. */
const PAGES = 16;

export class RecentPages {
  readonly #keys = new Uint32Array(PAGES);
  #next = 0;

  /** Whether the page is none of the last few; it is one of them from now on. */
  isNew(key: number): boolean {
    if (this.#keys.includes(key)) return false;
    this.#keys[this.#next] = key;
    this.#next = (this.#next + 1) % PAGES;
    return true;
  }
}
