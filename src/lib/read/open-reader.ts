// Wires the read path: pages, loader, fetcher and the two kinds of answers behind the Reader contract. Built by the
// composition root; the store is opened at the first miss.
import { clipRange, type ByteRange } from '../base/byte-range.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { loadCrc32c } from '../base/crc32c.ts';
import { SeekfsError } from '../base/errors.ts';
import { OnceLogger, type Logger } from '../base/log.ts';
import { andThen, type MaybePromise } from '../base/maybe-promise.ts';
import type { MemoryGovernor, Slab } from '../base/memory.ts';
import type { Cell, Metrics } from '../base/metrics.ts';
import { KIB, MIB } from '../base/units.ts';
import type { Claims } from '../cache/claims.ts';
import type { PageCache } from '../cache/page-cache.ts';
import type { FileEntry, PinnedVersion } from '../manifest/types.ts';
import type { ExhaustedBudget, ObjectStore } from '../objectstore/object-store.ts';
import { GRANULE_BYTES } from '../page/page.ts';
import { Claiming } from './claiming.ts';
import { Fetcher } from './fetcher.ts';
import { FlightTable, type FlightHooks } from './flight.ts';
import { Loader } from './loader.ts';
import { FilePages } from './pages.ts';
import { PlannedBatches } from './planned.ts';
import { ReadAhead } from './read-ahead.ts';
import type { Extent, PlanOptions, ReadOptions, Reader, WarmOptions, WarmPlan, WarmTarget } from './reader.ts';
import { readExtents, type FileExtent, type ReadvDeps } from './readv.ts';
import { smallPiece, streamInline, streamRange, type StreamOptions } from './stream.ts';
import { Warming } from './warming.ts';

export interface ReadLimits {
  /** A GET asks for at most this many bytes (`range_coalesce_max_mib`). */
  readonly rangeCoalesceMaxBytes: number;
  /** Bytes between two misses that one GET may fetch and drop; default 256 KiB. */
  readonly gapBytesMax?: number | undefined;
  /** What a random read fetches at least; default one granule. */
  readonly fetchQuantumBytes?: number | undefined;
  /** A cold sequential stream is split into GETs of this size; default 8 MiB. */
  readonly streamGetBytes?: number | undefined;
  readonly requireChecksums: boolean;
}

export interface ReaderDeps {
  readonly store: () => Promise<ObjectStore>;
  /** What the budget of the store has run out of just now. */
  readonly exhausted?: (() => ExhaustedBudget | undefined) | undefined;
  readonly cache: PageCache;
  /** Of the cache's directory; undefined: no other process shares the cache. */
  readonly claims?: Claims | undefined;
  readonly memory: MemoryGovernor;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly limits: ReadLimits;
  readonly clock?: Clock | undefined;
}

const READ_AHEAD_EXTENTS_MAX = 4;

class OpenReader implements Reader {
  readonly #deps: ReaderDeps;
  readonly #log: Logger;
  readonly #fetcher: Fetcher;
  readonly #readv: ReadvDeps;
  readonly #warming: Warming;
  readonly #readAhead: ReadAhead;
  readonly #clock: Clock;
  /** By entry, so that an ETag that a response pinned lasts as long as the open file. */
  readonly #files = new WeakMap<FileEntry, FilePages | Promise<FilePages>>();
  #crcLoaded = false;

  constructor(deps: ReaderDeps) {
    const { metrics, cache, memory, limits, exhausted = () => undefined } = deps;
    this.#deps = deps;
    this.#log = new OnceLogger(deps.log);
    const pagesFetched = metrics.cell('seekfs_pages_fetched_total');
    const crcFailures = metrics.cell('seekfs_crc_failures_total');
    const saved = (by: string): Cell => metrics.cell('seekfs_store_gets_saved_total', { by });
    const joined = saved('single_flight');
    const table = new FlightTable();
    const planned = new PlannedBatches();
    const hooks: FlightHooks = {
      cache,
      onFetched: () => {
        pagesFetched.value += 1;
      },
      onCached: () => {
        joined.value += 1;
      },
      onCorrupt: () => {
        crcFailures.value += 1;
      },
    };
    const claiming = deps.claims && new Claiming(deps.claims, cache);
    this.#fetcher = new Fetcher({ store: deps.store, claiming, coalesced: saved('coalescing') });
    const loader = new Loader({
      cache,
      memory,
      exhausted,
      fetcher: this.#fetcher,
      table,
      planned,
      hooks,
      quantumBytes: limits.fetchQuantumBytes ?? GRANULE_BYTES,
      saved: { cached: saved('cache'), joined },
      uncheckedBytes: metrics.cell('seekfs_unchecked_bytes_total'),
    });
    this.#clock = deps.clock ?? systemClock;
    this.#readv = {
      loader,
      cache,
      getBytes: Math.min(limits.streamGetBytes ?? 8 * MIB, limits.rangeCoalesceMaxBytes),
      plan: {
        getBytesMax: Math.max(GRANULE_BYTES, Math.min(limits.rangeCoalesceMaxBytes, loader.ticketBytesMax / 2)),
        gapBytesMax: limits.gapBytesMax ?? 256 * KIB,
      },
    };
    this.#readAhead = new ReadAhead({ loader, cache, exhausted, plan: this.#readv.plan });
    this.#warming = new Warming({ loader, cache, clock: this.#clock, plan: this.#readv.plan, planned });
  }

  cached(_version: PinnedVersion, entry: FileEntry, range: ByteRange): MaybePromise<Slab[] | undefined> {
    const file = this.#files.get(entry);
    const piece = file instanceof FilePages ? smallPiece(file, range) : undefined;
    if (!piece) return undefined;
    // A read is noted once: what is not here by `stream`.
    return andThen(this.#readv.loader.tryCached(piece), (slabs) => {
      if (slabs) this.#readAhead.note(piece.filePage.file, range);
      return slabs;
    });
  }

  async *stream(
    version: PinnedVersion,
    entry: FileEntry,
    range: ByteRange,
    options: ReadOptions = {},
  ): AsyncGenerator<Slab, void, undefined> {
    if (range.len === 0) return;
    const file = await this.#open(version, entry, options.signal);
    yield* streamRange(this.#readv, file, range, this.#noted(file, range, options));
  }

  async *streamInline(
    version: PinnedVersion,
    entry: FileEntry,
    range: ByteRange,
    options: ReadOptions = {},
  ): AsyncGenerator<readonly Slab[], void, undefined> {
    if (range.len === 0) return;
    const file = await this.#open(version, entry, options.signal);
    yield* streamInline(this.#readv, file, range, this.#noted(file, range, options));
  }

  /** Read-ahead learns of the read, and is told when it starves. */
  #noted(file: FilePages, range: ByteRange, { lane = 'demand', signal }: ReadOptions): StreamOptions {
    const onStarved = lane === 'demand' ? this.#readAhead.note(file, range) : undefined;
    return { lane, signal, onStarved };
  }

  async *readv(
    version: PinnedVersion,
    extents: readonly Extent[],
    options: ReadOptions = {},
  ): AsyncGenerator<Slab, void, undefined> {
    const paths = [...new Set(extents.map((extent) => extent.path))];
    const entries = new Map<string, FileEntry>();
    for (const path of paths) entries.set(path, await version.lookup(path));
    const clipped = extents.map((extent) => {
      const entry = entries.get(extent.path)!;
      return { entry, ...clipRange(extent, entry.sizeBytes) };
    });
    const asked: FileExtent[] = [];
    for (const { entry, off, len } of clipped) {
      if (len === 0) continue;
      const file = await this.#open(version, entry, options.signal);
      asked.push({ file, off, len });
    }
    // Only a request of few extents can be one step of a sequential reader; more are planned together as they are.
    if (asked.length <= READ_AHEAD_EXTENTS_MAX) for (const extent of asked) this.#readAhead.note(extent.file, extent);
    yield* readExtents(this.#readv, asked, { lane: options.lane ?? 'demand', signal: options.signal });
  }

  async warm(
    version: PinnedVersion,
    targets: AsyncIterable<WarmTarget> | Iterable<WarmTarget>,
    options: WarmOptions = {},
  ): Promise<void> {
    const { signal, ttlMs, onProgress, turn } = options;
    let bytes = 0;
    let fetchedBytes = 0;
    await this.#warming.run(this.#openTargets(version, targets, signal), {
      signal,
      turn,
      deadlineMs: ttlMs === undefined ? undefined : this.#clock.monotonicMs() + ttlMs,
      onBytes: (count, from) => {
        bytes += count;
        if (from === 'store') fetchedBytes += count;
        onProgress?.({ bytes, fetchedBytes });
      },
    });
  }

  planWarm(
    version: PinnedVersion,
    targets: AsyncIterable<WarmTarget> | Iterable<WarmTarget>,
    options: PlanOptions = {},
  ): Promise<WarmPlan> {
    return this.#warming.plan(this.#openTargets(version, targets, options.signal), options);
  }

  async *#openTargets(
    version: PinnedVersion,
    targets: AsyncIterable<WarmTarget> | Iterable<WarmTarget>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<FileExtent, void, undefined> {
    for await (const { entry, range } of targets) {
      if (range.len > 0) yield { file: await this.#open(version, entry, signal), off: range.off, len: range.len };
    }
  }

  async close(): Promise<void> {
    this.#readAhead.close();
    await this.#fetcher.close();
  }

  async #open(version: PinnedVersion, entry: FileEntry, signal: AbortSignal | undefined): Promise<FilePages> {
    if (!this.#crcLoaded) {
      await loadCrc32c();
      this.#crcLoaded = true;
    }
    const open = this.#files.get(entry);
    if (open) return open;
    const unchecked = entry.pages.some((page) => page.crc32c === undefined);
    if (unchecked) this.#checkUnchecked(version, entry);
    if (entry.storage.etag !== undefined || (entry.hash !== undefined && !unchecked)) {
      const file = new FilePages(version.ns, entry);
      this.#files.set(entry, file);
      return file;
    }
    // Without checksums or a hash the ETag is all that tells one content from another, so it is asked for first.
    const store = await this.#deps.store();
    const head = await store.head({ key: entry.storage.key, signal });
    const file = new FilePages(version.ns, entry, head.etag);
    this.#files.set(entry, file);
    return file;
  }

  #checkUnchecked(version: PinnedVersion, entry: FileEntry): void {
    if (this.#deps.limits.requireChecksums) {
      throw new SeekfsError(
        'unchecked_refused',
        `${entry.path} has no checksums in v-${version.version} of ${version.ns} and they are required; publish it again with "seekfs manifest gen"`,
        { details: { ns: version.ns, path: entry.path, version: version.version } },
      );
    }
    this.#log.log(
      'warn',
      `v-${version.version} of ${version.ns} has files without checksums: their bytes are served unchecked`,
    );
  }
}

export function createReader(deps: ReaderDeps): Reader {
  return new OpenReader(deps);
}
