// The pages of one file of one version: page objects made from a manifest entry, and where their bytes are in the
// store. For the loader and the fetcher; it knows neither caches nor requests.
import { SeekfsError } from '../base/errors.ts';
import type { FileEntry } from '../manifest/types.ts';
import { granuleCount, type Page } from '../page/page.ts';

/** One page of a file, with what a request for its bytes needs. */
export interface FilePage {
  readonly file: FilePages;
  readonly page: Page;
  /** Names the page among all pages and places that can be in flight: two equal keys are the same bytes of one object. */
  readonly key: string;
  /** Of the page's first byte in the object. */
  readonly objectOff: number;
  /** Without granule CRCs only the whole page can be verified. */
  readonly whole: boolean;
}

export class FilePages {
  readonly entry: FileEntry;
  readonly #ns: string;
  readonly #identity: string;
  /** Index into the entry's granule CRCs of each page's first one. */
  readonly #granuleBase: Uint32Array | undefined;
  readonly #made: (FilePage | undefined)[] = [];
  #etag: string | undefined;

  /**
   * `etag`: the object's, for an entry that names none; an entry without a hash must have one or the other.
   * @throws manifest_invalid where the bytes would have no identity at all
   */
  constructor(ns: string, entry: FileEntry, etag?: string) {
    this.#ns = ns;
    this.entry = entry;
    this.#etag = entry.storage.etag ?? etag;
    if (entry.hash === undefined && this.#etag === undefined) {
      throw new SeekfsError(
        'manifest_invalid',
        `${entry.path} has neither a hash nor an ETag, so its bytes have no name`,
      );
    }
    this.#identity = entry.hash ?? `etag:${this.#etag}`;
    if (entry.granuleCrcs) {
      const base = new Uint32Array(entry.pages.length);
      let next = 0;
      for (const [index, page] of entry.pages.entries()) {
        base[index] = next;
        next += granuleCount(page);
      }
      if (next === entry.granuleCrcs.length) this.#granuleBase = base;
    }
  }

  get storageKey(): string {
    return this.entry.storage.key;
  }

  /** What requests send as If-Match; undefined until the first response pins it. */
  get etag(): string | undefined {
    return this.#etag;
  }

  pinEtag(etag: string): void {
    this.#etag ??= etag;
  }

  /** Index of the page that holds byte `off` of the file, which is inside it. */
  indexAt(off: number): number {
    const { pages } = this.entry;
    const guess = Math.floor(off / pages[0]!.len);
    const guessed = pages[guess];
    if (guessed && guessed.off <= off && off < guessed.off + guessed.len) return guess;
    let low = 0;
    let high = pages.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (pages[middle]!.off <= off) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  page(index: number): FilePage {
    return (this.#made[index] ??= this.#make(index));
  }

  #make(index: number): FilePage {
    const { entry } = this;
    const { pageId, off, len, crc32c } = entry.pages[index]!;
    const common = { ns: this.#ns, path: entry.path, pageId, off, len, identity: this.#identity };
    const base = this.#granuleBase?.[index];
    const granuleCrcs =
      base === undefined ? undefined : entry.granuleCrcs!.subarray(base, base + granuleCount({ len }));
    const page: Page =
      crc32c === undefined ? { kind: 'unchecked', ...common } : { kind: 'checked', ...common, crc32c, granuleCrcs };
    const { key, etag, off: shardOff } = entry.storage;
    return {
      file: this,
      page,
      key: JSON.stringify([key, etag, shardOff, common.ns, common.path, common.identity, pageId, off, len]),
      objectOff: shardOff + off,
      whole: page.kind === 'checked' && granuleCrcs === undefined && granuleCount(page) > 1,
    };
  }
}

/** A byte range of one page, relative to the page; `len` is at least 1. */
export interface PagePiece {
  readonly filePage: FilePage;
  readonly off: number;
  readonly len: number;
}

/** The range of the file, page by page in order. */
export function piecesOf(file: FilePages, range: { readonly off: number; readonly len: number }): PagePiece[] {
  const pieces: PagePiece[] = [];
  const end = range.off + range.len;
  let off = range.off;
  for (let index = off < end ? file.indexAt(off) : 0; off < end; index += 1) {
    const filePage = file.page(index);
    const { page } = filePage;
    const stop = Math.min(end, page.off + page.len);
    pieces.push({ filePage, off: off - page.off, len: stop - off });
    off = stop;
  }
  return pieces;
}
