// A cache in miniature (Waldspurger et al., ATC 2017): a policy at work on the sampled pages alone, with the capacity
// scaled alike, so that `auto` sees what each policy would hit without giving it the disk.
import type { Policy } from './policy.ts';

/** Reinsertions before the oldest page goes whatever its score: bounds the work of one read. */
const REINSERTIONS_MAX = 32;

export class MiniCache {
  readonly #create: () => Policy;
  #policy: Policy;
  /** In the order in which they were written, oldest first. */
  #stored = new Set<number>();

  constructor(create: () => Policy) {
    this.#create = create;
    this.#policy = create();
  }

  get size(): number {
    return this.#stored.size;
  }

  /** One read of a page; whether it was stored. */
  read(key: number, capacity: number): boolean {
    const found = this.#stored.has(key);
    this.#policy.use(key, found);
    if (found) return true;
    const full = this.#stored.size >= capacity;
    if (!this.#policy.admits(key, { full, residentPages: this.#stored.size })) return false;
    while (this.#stored.size >= capacity) this.#evict();
    this.#stored.add(key);
    this.#policy.store(key, true);
    return false;
  }

  /** Forgets the pages that the predicate refuses. */
  filter(kept: (key: number) => boolean): void {
    for (const key of this.#stored) if (!kept(key)) this.#drop(key);
  }

  /** Starts again with nothing stored and nothing learnt. */
  restart(): void {
    this.#stored.clear();
    this.#policy = this.#create();
  }

  #evict(): void {
    let reinsertions = 0;
    for (const key of this.#stored) {
      if (reinsertions === REINSERTIONS_MAX || this.#policy.score(key) <= 0) {
        this.#drop(key);
        return;
      }
      reinsertions += 1;
      this.#stored.delete(key);
      this.#stored.add(key);
    }
  }

  #drop(key: number): void {
    this.#stored.delete(key);
    this.#policy.store(key, false);
  }
}
