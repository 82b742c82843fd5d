// Plans an epoch dry, for the `advisor` command: which GETs a job sends that reads a version in a given order, for a
// given cache size, in its first epoch and in each later one. Sends no request; the cache keeps what came first
// (`retain`), and a read fetches whole granules, neighbours of one extent in one GET.
import { clipRange } from '../base/byte-range.ts';
import { throwIfAborted } from '../base/errors.ts';
import { GIB } from '../base/units.ts';
import type { FileEntry, PinnedVersion } from '../manifest/types.ts';
import { GRANULE_BYTES } from '../page/page.ts';
import type { Extent } from '../read/reader.ts';

export interface EpochAssumptions {
  readonly cacheBytes: number;
  /** One GET asks for at most so much. */
  readonly getBytesMax: number;
  /** What the store, or the budget, gives. */
  readonly getsPerSecond: number;
  readonly bytesPerSecond: number;
  /** In any currency; undefined: no cost is told. */
  readonly pricePer1000Gets?: number | undefined;
  readonly pricePerGib?: number | undefined;
}

export interface EpochPlan {
  readonly gets: number;
  /** From the store. */
  readonly bytes: number;
  readonly seconds: number;
  readonly cost: number | undefined;
}

export interface EpochForecast {
  readonly files: number;
  readonly extents: number;
  /** That the job asks for in one epoch. */
  readonly readBytes: number;
  /** Of it, each byte once. */
  readonly distinctBytes: number;
  /** Of the distinct bytes, those that the cache holds after the first epoch. */
  readonly cachedBytes: number;
  readonly first: EpochPlan;
  readonly later: EpochPlan;
}

/** Each file from its beginning to its end, in the manifest's order: the reading of a job that says nothing else. */
export async function* wholeFiles(version: PinnedVersion): AsyncGenerator<Extent, void, undefined> {
  for await (const { path, sizeBytes } of version.list()) if (sizeBytes > 0) yield { path, off: 0, len: sizeBytes };
}

/** Granules of a file by number: `seen` in this plan, `kept` by the cache. */
interface FileState {
  readonly entry: FileEntry;
  readonly seen: Set<number>;
  readonly kept: Set<number>;
}

/** Counts GETs of granules that arrive in reading order: the next one in a row of an extent goes into the same GET. */
class GetCounter {
  readonly #getBytesMax: number;
  gets = 0;
  bytes = 0;
  #next: number | undefined;
  #inGet = 0;

  constructor(getBytesMax: number) {
    this.#getBytesMax = getBytesMax;
  }

  newExtent(): void {
    this.#next = undefined;
  }

  fetch(granule: number, bytes: number): void {
    if (granule !== this.#next || this.#inGet + bytes > this.#getBytesMax) {
      this.gets += 1;
      this.#inGet = 0;
    }
    this.#next = granule + 1;
    this.#inGet += bytes;
    this.bytes += bytes;
  }
}

function toPlan(counter: GetCounter, assumptions: EpochAssumptions): EpochPlan {
  const { gets, bytes } = counter;
  const { pricePer1000Gets, pricePerGib } = assumptions;
  const isPriced = pricePer1000Gets !== undefined || pricePerGib !== undefined;
  return {
    gets,
    bytes,
    seconds: Math.max(gets / assumptions.getsPerSecond, bytes / assumptions.bytesPerSecond),
    cost: isPriced ? (gets / 1000) * (pricePer1000Gets ?? 0) + (bytes / GIB) * (pricePerGib ?? 0) : undefined,
  };
}

/**
 * `order` is iterated once and clipped to the files.
 * @throws path_not_found, range_not_satisfiable, interrupted
 */
export async function planEpoch(
  version: PinnedVersion,
  order: AsyncIterable<Extent> | Iterable<Extent>,
  assumptions: EpochAssumptions,
  signal?: AbortSignal,
): Promise<EpochForecast> {
  const files = new Map<string, FileState>();
  const first = new GetCounter(assumptions.getBytesMax);
  const later = new GetCounter(assumptions.getBytesMax);
  let extents = 0;
  let readBytes = 0;
  let distinctBytes = 0;
  let cachedBytes = 0;
  for await (const extent of order) {
    throwIfAborted(signal);
    let file = files.get(extent.path);
    if (!file) {
      file = { entry: await version.lookup(extent.path), seen: new Set(), kept: new Set() };
      files.set(extent.path, file);
    }
    const { off, len } = clipRange(extent, file.entry.sizeBytes);
    extents += 1;
    readBytes += len;
    first.newExtent();
    later.newExtent();
    for (let granule = Math.floor(off / GRANULE_BYTES); granule * GRANULE_BYTES < off + len; granule += 1) {
      const bytes = Math.min(GRANULE_BYTES, file.entry.sizeBytes - granule * GRANULE_BYTES);
      if (!file.seen.has(granule)) {
        file.seen.add(granule);
        distinctBytes += bytes;
        if (cachedBytes + bytes <= assumptions.cacheBytes) {
          cachedBytes += bytes;
          file.kept.add(granule);
        }
        first.fetch(granule, bytes);
      } else if (!file.kept.has(granule)) first.fetch(granule, bytes);
      if (!file.kept.has(granule)) later.fetch(granule, bytes);
    }
  }
  return {
    files: files.size,
    extents,
    readBytes,
    distinctBytes,
    cachedBytes,
    first: toPlan(first, assumptions),
    later: toPlan(later, assumptions),
  };
}
