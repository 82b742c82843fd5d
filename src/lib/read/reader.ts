// The contract of the read path: extents of pinned versions in, verified bytes out, page by page as they are verified.
import type { ByteRange } from '../base/byte-range.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
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
  /** Bytes of the ranges that are done with so far: in the cache, or on their way to its disk. */
  readonly bytes: number;
  /** Of those, bytes that came from the store in this call. */
  readonly fetchedBytes: number;
}

export interface WarmTarget {
  readonly entry: FileEntry;
  readonly range: ByteRange;
}

export interface WarmOptions {
  readonly signal?: AbortSignal | undefined;
  /** What has not begun after so long is dropped (`ttl_ms` of hints). */
  readonly ttlMs?: number | undefined;
  readonly onProgress?: ((progress: WarmProgress) => void) | undefined;
  /**
   * Until it resolves only that is begun into which demand reads fall: who has several to do one after the other gives
   * the later ones early. Default: at once. Never rejects.
   */
  readonly turn?: Promise<void> | undefined;
}

export interface WarmPlan {
  /** Pages of which something is missing. */
  readonly pages: number;
  readonly bytes: number;
  readonly gets: number;
  /** Of files that lack something, the first 20. */
  readonly paths: readonly string[];
}

export interface PlanOptions {
  readonly signal?: AbortSignal | undefined;
  /** Count as missing what only the memory of this process has. */
  readonly lasting?: boolean | undefined;
}

export interface Reader {
  /**
   * The short way for a small range (as for `stream`, at least a byte) of which the cache has everything: its slabs in
   * order, which the caller owns, without a promise where they lie in memory. Undefined, or a promise of that: ask
   * `stream`. Nothing stops it, since it reads the cache's disk once at most.
   */
  cached(version: PinnedVersion, entry: FileEntry, range: ByteRange): MaybePromise<Slab[] | undefined>;

  /**
   * Streams [off, off + len) of a file, which the caller has clipped to its size (`clipRange`). The consumer releases each slab once its bytes
   * are written; breaking off the iteration stops the fetches. Two slabs never overlap; together they are the range.
   * @throws page_corrupt, object_changed, object_not_found, store_unavailable, store_throttled, interrupted
   */
  stream(version: PinnedVersion, entry: FileEntry, range: ByteRange, options?: ReadOptions): AsyncIterable<Slab>;

  /**
   * As `stream`, in steps of several slabs, which the consumer owns and had better send together. What lies in memory is
   * read on the thread of the event loop just before it is taken, and none of it ahead: least processor time in all. The
   * pool's threads of `stream` read ahead, which is quicker where processors are idle.
   */
  streamInline(
    version: PinnedVersion,
    entry: FileEntry,
    range: ByteRange,
    options?: ReadOptions,
  ): AsyncIterable<readonly Slab[]>;

  /**
   * The extents' bytes in request order, concatenated; each extent is clipped at the end of its file.
   * All are looked up and planned together, so that neighbours share GETs; at most the memory bound is in flight.
   * @throws as `stream`, path_not_found and range_not_satisfiable before the first byte
   */
  readv(version: PinnedVersion, extents: readonly Extent[], options?: ReadOptions): AsyncIterable<Slab>;

  /**
   * Brings the missing granules of the ranges (inside their files) into the cache, behind demand reads: for warm and for
   * hints. The ranges are taken in order as memory allows; neighbours in one object share GETs. Resolves when everything
   * is written or was given up.
   * @throws as `stream`, at the first failure
   */
  warm(
    version: PinnedVersion,
    targets: AsyncIterable<WarmTarget> | Iterable<WarmTarget>,
    options?: WarmOptions,
  ): Promise<void>;

  /** How many GETs `warm` would send, and for how much; sends none. */
  planWarm(
    version: PinnedVersion,
    targets: AsyncIterable<WarmTarget> | Iterable<WarmTarget>,
    options?: PlanOptions,
  ): Promise<WarmPlan>;

  close(): Promise<void>;
}
