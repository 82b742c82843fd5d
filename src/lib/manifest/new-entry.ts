// The entry of a file that was hashed just now, as every way of publishing makes it.
import type { Checksums } from './checksums.ts';
import type { FileEntry } from './types.ts';

export interface NewFile {
  readonly path: string;
  readonly modifiedAtMs: number;
  /** The object, and where in it the file begins. */
  readonly key: string;
  readonly etag: string | undefined;
  readonly off: number;
}

export function newEntry({ path, modifiedAtMs, key, etag, off }: NewFile, checksums: Checksums): FileEntry {
  const { sizeBytes, hash, pages, granuleCrcs } = checksums;
  return {
    path,
    sizeBytes,
    hash,
    storage: { key, etag, sse: undefined, off },
    pages,
    granuleCrcs,
    modifiedAtMs: Math.floor(modifiedAtMs),
    extra: undefined,
  };
}
