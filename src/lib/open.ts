// The composition root: configuration in, wired library out. The only place that builds engines, caches and readers.
import type { Config } from './config/config.ts';
import type { Logger } from './base/log.ts';
import type { Metrics } from './base/metrics.ts';
import type { PageCache } from './cache/page-cache.ts';
import type { PinnedVersion, VersionSelector } from './manifest/types.ts';
import type { ObjectStore } from './objectstore/object-store.ts';
import type { Reader } from './read/reader.ts';

/** One wired data plane. Everything behind the functions is built on first use and closed by `close`. */
export interface Seekfs {
  readonly config: Config;
  readonly metrics: Metrics;
  readonly log: Logger;
  store(): Promise<ObjectStore>;
  cache(): Promise<PageCache>;
  reader(): Promise<Reader>;
  /** Resolves HEAD (one meta GET) or the version asked for (none, where the manifest is cached) and opens it. */
  pin(ns: string, selector: VersionSelector, options?: { signal?: AbortSignal }): Promise<PinnedVersion>;
  close(): Promise<void>;
}
