// The slabs that a load holds for granules which it does not fetch yet. For the loader; a map for each page, because a name
// for each granule would be built and hashed several times a GET.
import type { Slab } from '../base/memory.ts';
import type { GranuleSpan } from '../page/page.ts';
import type { FilePage } from './pages.ts';

export class HeldSlabs {
  readonly #byPage = new Map<string, Map<number, Slab>>();

  has({ key }: FilePage, granule: number): boolean {
    return this.#byPage.get(key)?.has(granule) === true;
  }

  /** Takes over the caller's reference. */
  add({ key }: FilePage, granule: number, slab: Slab): void {
    const slabs = this.#byPage.get(key);
    if (slabs) slabs.set(granule, slab);
    else this.#byPage.set(key, new Map([[granule, slab]]));
  }

  /** One a granule of the span, all of which are held; the caller owns them from now on. */
  take({ key }: FilePage, span: GranuleSpan): Slab[] {
    const held = this.#byPage.get(key)!;
    const taken: Slab[] = [];
    for (let granule = span.first; granule < span.first + span.count; granule += 1) {
      taken.push(held.get(granule)!);
      held.delete(granule);
    }
    return taken;
  }

  /** Those that were not taken. */
  release(): void {
    for (const slabs of this.#byPage.values()) {
      for (const slab of slabs.values()) slab.release();
    }
  }
}
