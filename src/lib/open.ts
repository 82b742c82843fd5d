// The composition root: configuration in, wired library out. The only place that builds engines, caches and readers.
import { join } from 'node:path';
import { systemClock } from './base/clock.ts';
import { silentLogger, type Logger } from './base/log.ts';
import { MemoryGovernor } from './base/memory.ts';
import { Metrics } from './base/metrics.ts';
import { systemRandom } from './base/random.ts';
import { CacheDirectory } from './cache/cache-directory.ts';
import { Claims } from './cache/claims.ts';
import { L1 } from './cache/l1.ts';
import { createPageCache } from './cache/layered-cache.ts';
import { layoutOf } from './cache/layout.ts';
import { openSegmentStore } from './cache/open-segment-store.ts';
import type { PageCache } from './cache/page-cache.ts';
import { ReaderRegistry } from './cache/reader-registry.ts';
import type { SegmentStore } from './cache/segment-store.ts';
import type { Config } from './config/config.ts';
import { nodeDisk } from './disk/node-disk.ts';
import { prefault } from './disk/prefault.ts';
import { pinVersion } from './manifest/pinned.ts';
import type { PublishDeps } from './manifest/publisher.ts';
import type { PinnedVersion, VersionSelector } from './manifest/types.ts';
import type { ObjectStore } from './objectstore/object-store.ts';
import { openObjectStore } from './objectstore/open-object-store.ts';
import { createReader } from './read/open-reader.ts';
import type { Reader } from './read/reader.ts';

const REGISTER_DELAY_MS = 2000;

/** One wired data plane. What its functions give is built on first use, shared by all callers, and closed by `close`. */
export interface Seekfs {
  readonly config: Config;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** The bound of all page bytes in this process. */
  readonly memory: MemoryGovernor;
  /** Sends nothing by itself: an engine is loaded at its first request. */
  readonly store: ObjectStore;
  cache(): Promise<PageCache>;
  /** The L2 behind `cache()`, for maintenance; undefined with backend `mem`, and where the directory cannot be made. */
  segmentStore(): Promise<SegmentStore | undefined>;
  reader(): Promise<Reader>;
  /** What publishing needs: the store, the directory of cached manifests, clock and randomness. */
  readonly publishing: PublishDeps;
  /** Resolves HEAD (one meta GET) or the version asked for (none, where the manifest is cached) and opens it. */
  pin(ns: string, selector: VersionSelector, options?: { signal?: AbortSignal | undefined }): Promise<PinnedVersion>;
  /** Writes what is still queued for the cache, then closes everything. */
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly log?: Logger | undefined;
}

/** Opens nothing yet: no file is touched and no request is sent before something is used. */
export function openSeekfs(config: Config, options: OpenOptions = {}): Seekfs {
  return new WiredSeekfs(config, options.log ?? silentLogger);
}

const notOpened = (): undefined => undefined;

class WiredSeekfs implements Seekfs {
  readonly config: Config;
  readonly metrics = new Metrics();
  readonly log: Logger;
  readonly memory: MemoryGovernor;
  readonly store: ObjectStore;
  readonly publishing: PublishDeps;
  readonly #directory: CacheDirectory;
  #cache: Promise<PageCache> | undefined;
  #segmentStore: Promise<SegmentStore | undefined> | undefined;
  #reader: Promise<Reader> | undefined;
  #claims: Claims | undefined;
  #registry: ReaderRegistry | undefined;
  readonly #registrations = new Set<NodeJS.Timeout>();

  constructor(config: Config, log: Logger) {
    this.config = config;
    this.log = log;
    this.memory = new MemoryGovernor({ limitBytes: config.memoryBytesMax, prefault });
    this.store = openObjectStore(config.store, { metrics: this.metrics });
    const directory = new CacheDirectory(config.cache.path, log);
    this.#directory = directory;
    this.publishing = {
      store: this.store,
      // Not before it is wanted.
      get cachePath() {
        return directory.path && join(directory.path, 'manifests');
      },
      log,
      clock: systemClock,
      random: systemRandom,
      unsafePublish: config.unsafePublish,
    };
  }

  cache(): Promise<PageCache> {
    return (this.#cache ??= this.#openCache());
  }

  async #openCache(): Promise<PageCache> {
    const { config, memory, metrics } = this;
    const l1 = new L1({ limitBytes: config.cache.l1BytesMax, governor: memory, metrics });
    return createPageCache({ l1, l2: await this.segmentStore(), metrics });
  }

  segmentStore(): Promise<SegmentStore | undefined> {
    return (this.#segmentStore ??= this.#openSegmentStore());
  }

  /** Undefined: pages are kept in memory alone. */
  get #l2Path(): string | undefined {
    return this.config.cache.backend === 'segmentstore' ? this.#directory.path : undefined;
  }

  async #openSegmentStore(): Promise<SegmentStore | undefined> {
    const { config, memory, metrics, log } = this;
    const { l2BytesMax, freeReserveBytes } = config.cache;
    const directoryPath = this.#l2Path;
    if (directoryPath === undefined) return undefined;
    return openSegmentStore({
      disk: nodeDisk,
      directoryPath,
      capacityBytes: l2BytesMax,
      freeReserveBytes,
      namespaceQuotaBytes: config.cache.namespaceQuotaBytes,
      policyOf: () => config.cache.policy,
      readsOnce: config.cache.readsOnce,
      memory,
      metrics,
      log,
      clock: systemClock,
      random: systemRandom,
    });
  }

  reader(): Promise<Reader> {
    return (this.#reader ??= this.#openReader());
  }

  async #openReader(): Promise<Reader> {
    const { config, memory, metrics, log } = this;
    const cache = await this.cache();
    const path = this.#l2Path;
    if (path !== undefined) {
      this.#claims = new Claims({ disk: nodeDisk, directoryPath: layoutOf(path).claims, log });
    }
    return createReader({
      store: () => Promise.resolve(this.store),
      exhausted: () => this.store.exhausted,
      cache,
      claims: this.#claims,
      memory,
      metrics,
      log,
      limits: {
        rangeCoalesceMaxBytes: config.rangeCoalesceMaxBytes,
        gapBytesMax: config.rangeCoalesceGapBytes,
        fetchQuantumBytes: config.fetchQuantumBytes,
        streamGetBytes: config.readPartSizeBytes,
        requireChecksums: config.requireChecksums,
      },
    });
  }

  pin(
    ns: string,
    selector: VersionSelector,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<PinnedVersion> {
    return pinVersion(this.publishing, ns, selector, options).then((pinned) => {
      if (this.#l2Path !== undefined) this.#registerSoon(pinned, this.#l2Path);
      return pinned;
    });
  }

  /** So that gc on this host keeps its pages; a command that is done by then leaves no trace. */
  #registerSoon({ ns, version }: PinnedVersion, directoryPath: string): void {
    const timer = setTimeout(() => {
      this.#registrations.delete(timer);
      this.#registry ??= new ReaderRegistry({ disk: nodeDisk, directoryPath, clock: systemClock });
      this.#registry.register({ ns, version });
    }, REGISTER_DELAY_MS);
    timer.unref();
    this.#registrations.add(timer);
  }

  async close(): Promise<void> {
    // In order: nobody reads any more, then the cache writes what is queued, then the store's connections go. What could not be
    // opened has been reported to whoever asked for it.
    await (await this.#reader?.catch(notOpened))?.close();
    const cache = await this.#cache?.catch(notOpened);
    await cache?.drain();
    await this.#claims?.close();
    await (cache ?? (await this.#segmentStore?.catch(notOpened)))?.close();
    for (const timer of this.#registrations) clearTimeout(timer);
    await this.#registry?.close();
    await this.store.close();
  }
}
