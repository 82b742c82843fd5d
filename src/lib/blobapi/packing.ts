// The warm way of POST /readv: small extents that the cache has at hand are copied one behind the other into few slabs, so
// that an extent costs neither a promise nor a write of its own. For readv.ts; what it does not take goes the long way.
import { SLAB_BYTES, type MemoryGovernor, type Slab } from '../base/memory.ts';
import { copyShared } from '../base/page-aligned.ts';
import { KIB } from '../base/units.ts';
import type { FileEntry, PinnedVersion } from '../manifest/types.ts';
import type { Extent, Reader } from '../read/reader.ts';

/** Above it a copy costs more than the write that it saves. */
const EXTENT_BYTES_MAX = 32 * KIB;

export interface PackDeps {
  readonly reader: Reader;
  readonly version: PinnedVersion;
  readonly memory: MemoryGovernor;
}

export interface Packed {
  /** Takes it over; undefined where no extent was taken. */
  readonly slab: Slab | undefined;
  /** Index of the first extent that is not in it. */
  readonly end: number;
}

/** As many of the extents, clipped and from `begin` on, as are small, at hand without waiting, and fit into one slab. */
export function packCached(
  { reader, version, memory }: PackDeps,
  found: readonly { readonly entry: FileEntry; readonly extent: Extent }[],
  begin: number,
): Packed {
  let end = begin;
  let bytes = 0;
  let whole: Slab | undefined;
  for (; end < found.length; end += 1) {
    const { entry, extent } = found[end]!;
    if (extent.len > EXTENT_BYTES_MAX || bytes + extent.len > SLAB_BYTES) break;
    if (extent.len === 0) continue;
    whole ??= memory.tryAcquire([SLAB_BYTES])?.[0];
    const slabs = whole && reader.cached(version, entry, extent);
    if (!slabs) break;
    if (slabs instanceof Promise) {
      // Whoever waits holds nothing: the long way takes memory for all that it will need.
      slabs.then(releaseAll, () => undefined);
      break;
    }
    for (const slab of slabs) bytes += copyShared(whole!.bytes, bytes, slab.bytes);
    releaseAll(slabs);
  }
  const slab = bytes > 0 ? whole!.slice(0, bytes) : undefined;
  whole?.release();
  return { slab, end };
}

function releaseAll(slabs: readonly Slab[] | undefined): void {
  for (const slab of slabs ?? []) slab.release();
}
