// A page: a fixed range of one file of one version, the unit of the manifest's checksums. A granule is a fixed slice
// of a page (at most 128 KiB), the smallest thing fetched, and what one memory slab holds; a check block is 16 KiB of
// a granule, the smallest thing verified on disk. Pure arithmetic and types.
import { SLAB_BYTES } from '../base/memory.ts';
import { KIB, MIB } from '../base/units.ts';

export const GRANULE_BYTES = SLAB_BYTES;
export const CHECK_BLOCK_BYTES = 16 * KIB;
export const BLOCKS_PER_GRANULE = GRANULE_BYTES / CHECK_BLOCK_BYTES;
export const PAGE_BYTES_MIN = 64 * KIB;
export const PAGE_BYTES_MAX = 64 * MIB;

interface PageBase {
  readonly ns: string;
  readonly path: string;
  readonly pageId: number;
  /** Of the page's first byte in the file. */
  readonly off: number;
  readonly len: number;
}

/** A page with the publisher's CRC: what every manifest of ours and of the seed has. */
export interface CheckedPage extends PageBase {
  readonly kind: 'checked';
  /** "sha256:<hex>" of the whole file: the page's identity in the cache, with path and page id. */
  readonly identity: string;
  readonly crc32c: number;
  /** CRC32C of each granule, little-endian words as in the manifest; absent: only the whole page can be verified. */
  readonly granuleCrcs?: Uint32Array | undefined;
}

/** A page of a manifest without CRCs: served with a warning, kept in L2 by ETag. */
export interface UncheckedPage extends PageBase {
  readonly kind: 'unchecked';
  /** "etag:<etag>" of the object. */
  readonly identity: string;
}

export type Page = CheckedPage | UncheckedPage;

export function granuleCount(page: { readonly len: number }): number {
  return Math.ceil(page.len / GRANULE_BYTES);
}

/** Length of the granule in bytes: GRANULE_BYTES but for the last one of a page. */
export function granuleLength(page: { readonly len: number }, granule: number): number {
  return Math.min(GRANULE_BYTES, page.len - granule * GRANULE_BYTES);
}

export function blockCount(bytes: number): number {
  return Math.ceil(bytes / CHECK_BLOCK_BYTES);
}

/** Granules [first, first + count) of one page. */
export interface GranuleSpan {
  readonly first: number;
  readonly count: number;
}

/** The granules that hold any byte of [off, off + len) of the page; `len` at least 1. */
export function granulesOf(range: { readonly off: number; readonly len: number }): GranuleSpan {
  const first = Math.floor(range.off / GRANULE_BYTES);
  return { first, count: Math.floor((range.off + range.len - 1) / GRANULE_BYTES) - first + 1 };
}
