// What of each granule a read wants, and the whole check blocks around it, which are read and verified. Pure.
import type { Slab } from '../base/memory.ts';
import { CHECK_BLOCK_BYTES, GRANULE_BYTES, granuleLength, type Page } from '../page/page.ts';

/** Of one page: bytes [off, off + len). */
export interface PageRange {
  readonly off: number;
  readonly len: number;
}

/** What is wanted, and the blocks around it, granule-relative and half-open. */
export interface Cut {
  readonly start: number;
  readonly end: number;
  readonly blocksStart: number;
  readonly blocksEnd: number;
}

export function cutOf(page: Page, granule: number, range: PageRange): Cut {
  const length = granuleLength(page, granule);
  const start = Math.max(0, range.off - granule * GRANULE_BYTES);
  const end = Math.min(length, range.off + range.len - granule * GRANULE_BYTES);
  const blocksStart = start - (start % CHECK_BLOCK_BYTES);
  const blocksEnd = Math.min(length, Math.ceil(end / CHECK_BLOCK_BYTES) * CHECK_BLOCK_BYTES);
  return { start, end, blocksStart, blocksEnd };
}

/** The wanted part of a slab of the blocks, which it takes over. */
export function cutSlab(slab: Slab, { start, end, blocksStart, blocksEnd }: Cut): Slab {
  return start === blocksStart && end === blocksEnd ? slab : slab.narrow(start - blocksStart, end - blocksStart);
}
