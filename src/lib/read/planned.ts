// What warm and hints have planned and not begun, by page: a demand read that misses some of it begins the batch around
// it rather than fetch its own few granules and leave a hole. Filled by warming, asked by the loader; knows neither
// memory nor requests.
import { GRANULE_BYTES } from '../page/page.ts';
import type { PagePiece } from './pages.ts';
import { spanBytes, type WantedSpan } from './plan.ts';

export interface PlannedBatch {
  /** In whole granules. */
  readonly pieces: readonly PagePiece[];
  readonly bytes: number;
  /** Begins it, unless there is no memory to spare; resolves with whether it can be joined now. Never rejects. */
  promote(): Promise<boolean>;
}

interface Planned {
  readonly piece: PagePiece;
  readonly batch: PlannedBatch;
}

/** A read that wants so much of a batch is as well off with GETs of its own, on several connections. */
const OWN_SHARE = 0.25;

export class PlannedBatches {
  readonly #byPage = new Map<string, Planned[]>();

  get size(): number {
    return this.#byPage.size;
  }

  add(batch: PlannedBatch): void {
    for (const piece of batch.pieces) {
      const planned = this.#byPage.get(piece.filePage.key);
      if (planned) planned.push({ piece, batch });
      else this.#byPage.set(piece.filePage.key, [{ piece, batch }]);
    }
  }

  delete(batch: PlannedBatch): void {
    for (const { filePage } of batch.pieces) {
      const left = this.#byPage.get(filePage.key)?.filter((planned) => planned.batch !== batch) ?? [];
      if (left.length > 0) this.#byPage.set(filePage.key, left);
      else this.#byPage.delete(filePage.key);
    }
  }

  /** Begins the batches that hold some of what a demand read misses. @returns whether some of it can be joined now */
  async promote(missing: readonly WantedSpan[]): Promise<boolean> {
    const wantedBytes = new Map<PlannedBatch, number>();
    for (const { filePage, span } of missing) {
      const planned = this.#byPage.get(filePage.key) ?? [];
      for (let granule = span.first; granule < span.first + span.count; granule += 1) {
        const off = granule * GRANULE_BYTES;
        const batch = planned.find(({ piece }) => piece.off <= off && off < piece.off + piece.len)?.batch;
        if (!batch) continue;
        const bytes = spanBytes(filePage.page, { first: granule, count: 1 });
        wantedBytes.set(batch, (wantedBytes.get(batch) ?? 0) + bytes);
      }
    }
    const small = [...wantedBytes].filter(([batch, bytes]) => bytes < batch.bytes * OWN_SHARE);
    const begun = await Promise.all(small.map(([batch]) => batch.promote()));
    return begun.includes(true);
  }
}
