// The contract of the local cache as the read path sees it: L1 in memory and the segmentstore (L2) on disk behind one
// face. It may always say no: a miss, a full or broken disk and a bad record all look alike to a reader.
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { Slab } from '../base/memory.ts';
import type { GranuleSpan, Page } from '../page/page.ts';
import type { VerifiedRun } from '../page/verified.ts';

/** One bit a granule of the page: what L1 and L2 hold together, as far as is known without reading it. */
export interface Presence {
  has(granule: number): boolean;
  readonly complete: boolean;
}

export interface PageCache {
  /**
   * Granules of the page that a read would probably find. Cheap; a hint, not a promise. `lasting`: only what is still
   * there when this process is not, where the cache has such a layer.
   */
  presence(page: Page, options?: { readonly lasting?: boolean | undefined }): Presence | Promise<Presence>;

  /**
   * Verified bytes of [off, off + len) of the page (page-relative, len at least 1), in order, or undefined where any of them is missing or
   * turned out damaged (which is counted and the record dropped). Reads from disk only the check blocks that the
   * range touches. The caller owns a reference of each slab; a slab's `bytes` are exactly the part of the range in it.
   * Without a promise where all of it lies in memory, of this process or of the operating system.
   */
  read(
    page: Page,
    range: { readonly off: number; readonly len: number },
    options: { readonly signal?: AbortSignal | undefined },
  ): MaybePromise<Slab[] | undefined>;

  /**
   * Offers a run. Returns at once: the write to disk happens behind, bounded by the write queue (a full queue declines),
   * and the cache retains the run for as long as it needs it. A run that is no demand waits for a disk that stands still
   * or fails for a while. `onWritten` is called exactly once, perhaps before this
   * returns: a read finds the run from now on, or it was declined or given up.
   */
  insert(run: VerifiedRun, options: { readonly demand: boolean; readonly onWritten?: (() => void) | undefined }): void;

  /** Whether bytes of the page that nobody asked for yet would be kept until somebody does. A hint, not a promise. */
  keepsAhead(page: Page): boolean;

  /** Takes in what other processes wrote, also if it did so a moment ago. */
  refresh(): Promise<void>;

  /** Resolves when everything that was admitted so far is written (not synced), or was given up. */
  drain(): Promise<void>;

  /** Drops what is held of the granules: the bytes were found bad by somebody who knows. */
  drop(page: Page, span: GranuleSpan): void;

  close(): Promise<void>;
}
