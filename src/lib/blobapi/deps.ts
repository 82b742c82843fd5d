// What the Blob API needs from the rest of the library, as interfaces that the composition root fills in. The API
// knows no engine, no cache and no file system.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { MemoryGovernor } from '../base/memory.ts';
import type { Metrics } from '../base/metrics.ts';
import type { ReadinessFinding } from '../maintain/readiness.ts';
import type { HeadPointer } from '../manifest/head.ts';
import type { PinnedVersion, VersionSelector } from '../manifest/types.ts';
import type { Reader } from '../read/reader.ts';

/** Of all workers together. Undefined: not known, or there is none. */
export interface StatusBounds {
  readonly store: string;
  readonly cache: string | undefined;
  readonly l1BytesMax: number;
  readonly getBudgetPerSec: number | undefined;
  readonly pricePer1000Gets?: number | undefined;
  /** Room that L2 has and takes; asked each time the page is refreshed. */
  l2(): Promise<{ readonly capacityBytes: number; readonly usedBytes: number } | undefined>;
}

export interface BlobApiDeps {
  /** HEAD as it is now, one meta GET: polled for requests that name no version. Undefined: nothing was published. */
  head(ns: string): Promise<HeadPointer | undefined>;
  pin(ns: string, selector: VersionSelector, options?: { signal?: AbortSignal }): Promise<PinnedVersion>;
  reader(): Promise<Reader>;
  /** The governor behind the reader's slabs: slow clients are broken off when demand waits for their memory. */
  readonly memory: MemoryGovernor;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
  /** One head request to the store, for `GET /test_head`. @throws object_not_found */
  headObject(key: string, signal: AbortSignal): Promise<{ sizeBytes: number; etag: string; modifiedAtMs: number }>;
  /** What the status page measures the process by. */
  readonly bounds: StatusBounds;
  /** Asked by `GET /readyz`, at most once a second. */
  readiness(signal: AbortSignal): Promise<readonly ReadinessFinding[]>;
}
