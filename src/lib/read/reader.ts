// The contract of the read path: extents of pinned versions in, verified bytes out, page by page as they are verified.
import type { ByteRange } from '../base/byte-range.ts';
import type { Lane, Slab } from '../base/memory.ts';
import type { FileEntry, PinnedVersion } from '../manifest/types.ts';

export interface Extent extends ByteRange {
  readonly path: string;
}

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default demand. */
  readonly lane?: Lane | undefined;
}

export interface WarmProgress {
  /** Bytes of the file that are in L2, or were given up on, so far. */
  readonly bytes: number;
  /** Of those, bytes that came from the store in this call. */
  readonly fetchedBytes: number;
}

export interface Reader {
  /**
   * Streams [off, off + len) of a file, which the caller has clipped to its size (`clipRange`). The consumer releases each slab once its bytes
   * are written; breaking off the iteration stops the fetches. Two slabs never overlap; together they are the range.
   * @throws page_corrupt, object_changed, object_not_found, store_unavailable, store_throttled, interrupted
   */
  stream(version: PinnedVersion, entry: FileEntry, range: ByteRange, options?: ReadOptions): AsyncIterable<Slab>;

  /**
   * The extents' bytes in request order, concatenated; each extent is clipped at the end of its file.
   * All are looked up and planned together, so that neighbours share GETs; at most the memory bound is in flight.
   * @throws as `stream`, path_not_found and range_not_satisfiable before the first byte
   */
  readv(version: PinnedVersion, extents: readonly Extent[], options?: ReadOptions): AsyncIterable<Slab>;

  /** Brings the missing granules of [off, off + len) of the file into L2, behind demand reads. */
  warm(
    version: PinnedVersion,
    entry: FileEntry,
    range: ByteRange,
    options: { signal?: AbortSignal | undefined; onProgress?: ((progress: WarmProgress) => void) | undefined },
  ): Promise<void>;

  close(): Promise<void>;
}
