// The checksums of one file in one pass over its bytes: SHA-256 of the whole, CRC32C of each granule, and of each page
// by combining its granules. Used where files are published, in this thread or in a worker; knows no store.
import { createHash } from 'node:crypto';
import { crc32c, crc32cCombine } from '../base/crc32c.ts';
import { SeekfsError } from '../base/errors.ts';
import { GRANULE_BYTES, PAGE_BYTES_MAX, PAGE_BYTES_MIN } from '../page/page.ts';
import type { PageEntry } from './types.ts';

export interface Checksums {
  readonly sizeBytes: number;
  /** "sha256:<hex>" */
  readonly hash: string;
  readonly pages: readonly PageEntry[];
  /** Undefined where every page is one granule, whose CRC is the page's. */
  readonly granuleCrcs: Uint32Array | undefined;
}

/** @throws usage unless it is a power of two from 64 KiB to 64 MiB */
export function checkPageSize(pageSizeBytes: number): void {
  const isPowerOfTwo = Number.isSafeInteger(pageSizeBytes) && Number.isInteger(Math.log2(pageSizeBytes));
  if (isPowerOfTwo && pageSizeBytes >= PAGE_BYTES_MIN && pageSizeBytes <= PAGE_BYTES_MAX) return;
  throw new SeekfsError('usage', `a page size of ${pageSizeBytes} bytes is no power of two from 64 KiB to 64 MiB`);
}

/** `loadCrc32c` must have resolved. */
export class FileChecksums {
  readonly #pageSizeBytes: number;
  /** Pages are whole numbers of granules, or one smaller granule. */
  readonly #granuleBytes: number;
  readonly #sha256 = createHash('sha256');
  readonly #granules: number[] = [];
  readonly #pages: PageEntry[] = [];
  #sizeBytes = 0;
  #granuleCrc = 0;
  #granuleLength = 0;
  #pageCrc = 0;
  #pageLength = 0;

  constructor(pageSizeBytes: number) {
    checkPageSize(pageSizeBytes);
    this.#pageSizeBytes = pageSizeBytes;
    this.#granuleBytes = Math.min(GRANULE_BYTES, pageSizeBytes);
  }

  /** The next bytes of the file; they are not kept. */
  update(bytes: Uint8Array): void {
    this.#sha256.update(bytes);
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(bytes.length, at + this.#granuleBytes - this.#granuleLength);
      const part = bytes.subarray(at, end);
      this.#granuleCrc = crc32c(part, this.#granuleLength === 0 ? undefined : this.#granuleCrc);
      this.#granuleLength += part.length;
      this.#sizeBytes += part.length;
      if (this.#granuleLength === this.#granuleBytes) this.#endGranule();
      at = end;
    }
  }

  #endGranule(): void {
    this.#granules.push(this.#granuleCrc);
    this.#pageCrc =
      this.#pageLength === 0 ? this.#granuleCrc : crc32cCombine(this.#pageCrc, this.#granuleCrc, this.#granuleLength);
    this.#pageLength += this.#granuleLength;
    this.#granuleLength = 0;
    if (this.#pageLength === this.#pageSizeBytes) this.#endPage();
  }

  #endPage(): void {
    const pageId = this.#pages.length;
    this.#pages.push({ pageId, off: pageId * this.#pageSizeBytes, len: this.#pageLength, crc32c: this.#pageCrc });
    this.#pageLength = 0;
  }

  /** Of all bytes so far; the last call. */
  finish(): Checksums {
    if (this.#granuleLength > 0) this.#endGranule();
    if (this.#pageLength > 0) this.#endPage();
    const granuleCrcs = this.#granules.length > this.#pages.length ? Uint32Array.from(this.#granules) : undefined;
    const hash = `sha256:${this.#sha256.digest('hex')}`;
    return { sizeBytes: this.#sizeBytes, hash, pages: this.#pages, granuleCrcs };
  }
}
