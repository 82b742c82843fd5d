// gc of the cache: which pages belong to no version that anybody needs (HEAD, pins, running readers of this host), and
// having maintenance drop them, evict to the capacity and compact. Where a namespace cannot be asked about, its pages stay.
import { isSeekfsError, SeekfsError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { VersionInUse } from '../cache/reader-registry.ts';
import { FileHashes } from '../cache/file-hashes.ts';
import { fileKeyOf, hashFile, type FileKey } from '../cache/page-key.ts';
import type { SegmentStore } from '../cache/segment-store.ts';
import type { Disk } from '../disk/disk.ts';
import { TAKEOVER_WAIT_MS } from '../disk/lock-file.ts';
import { listPins } from '../manifest/pins.ts';
import type { PinnedVersion, VersionSelector } from '../manifest/types.ts';
import type { ObjectStore } from '../objectstore/object-store.ts';
import { forEachSegment, readCacheUse } from './status.ts';

export interface CacheGcDeps {
  readonly disk: Disk;
  /** The cache directory. */
  readonly path: string;
  readonly store: ObjectStore;
  readonly pin: (ns: string, selector: VersionSelector) => Promise<PinnedVersion>;
  /** What running processes of this host read. */
  readonly inUse: readonly VersionInUse[];
  readonly segmentStore: SegmentStore;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
}

export interface CacheGcReport {
  readonly dryRun: boolean;
  /** Of pages that no version names any more. */
  readonly deadBytes: number;
  readonly deadRecords: number;
  /** Namespaces of which it could not be told, and which therefore stay whole. */
  readonly unknownNamespaces: readonly string[];
  readonly freedBytes: number;
  readonly removedSegments: number;
}

/**
 * @param ns only this namespace's pages may be dead; undefined: those of all that the store has
 * @throws locked (another process maintains the cache), and what the disk throws
 */
export async function collectCache(
  deps: CacheGcDeps,
  options: { readonly ns: string | undefined; readonly dryRun: boolean },
): Promise<CacheGcReport> {
  const { disk, path, segmentStore, signal } = deps;
  const { namespaces } = await readCacheUse({ disk, path, capacityBytes: undefined, signal });
  const live = new Map<string, FileHashes>();
  const unknownNamespaces: string[] = [];
  for (const { ns } of namespaces) {
    if (options.ns !== undefined && ns !== options.ns) continue;
    const files = await liveFiles(deps, ns);
    if (files) live.set(ns, files);
    else unknownNamespaces.push(ns);
  }
  const isDead = (file: FileKey): boolean => live.get(file.ns)?.has(file) === false;
  const dead = { deadBytes: 0, deadRecords: 0 };
  await forEachSegment({ disk, path, signal }, async ({ batches }) => {
    for await (const entries of batches) {
      for (const { group, payloadBytes } of entries) {
        const file = fileKeyOf(group);
        if (!file || !isDead(file)) continue;
        dead.deadRecords += 1;
        dead.deadBytes += payloadBytes;
      }
    }
  });
  const common = { dryRun: options.dryRun, ...dead, unknownNamespaces };
  if (options.dryRun) return { ...common, freedBytes: 0, removedSegments: 0 };
  segmentStore.maintenance.knowDead(isDead);
  const result = await segmentStore.maintenance.clean({ waitMsMax: TAKEOVER_WAIT_MS });
  if (!result)
    throw new SeekfsError('locked', `another process maintains the cache in ${path}; try again when it is done`);
  return { ...common, freedBytes: result.freedBytes, removedSegments: result.removedSegments };
}

/** The files of every version of the namespace that somebody needs; undefined where that cannot be told. */
async function liveFiles(deps: CacheGcDeps, ns: string): Promise<FileHashes | undefined> {
  const { store, pin, inUse, log, signal } = deps;
  try {
    const pins = await listPins({ store }, ns, { signal });
    const versions = new Set([...pins, ...inUse.filter((one) => one.ns === ns)].map(({ version }) => version));
    const selectors: VersionSelector[] = [...versions].map((version) => ({ kind: 'version', version }));
    const files = new FileHashes();
    for (const selector of [{ kind: 'head' } as const, ...selectors]) {
      const version = await pin(ns, selector);
      for await (const { path, hash, storage } of version.list()) {
        files.add(hashFile({ ns, path, identity: hash ?? `etag:${storage.etag}` }));
      }
      await version.close();
    }
    return files;
  } catch (error) {
    if (isSeekfsError(error, 'interrupted')) throw error;
    // Another store's namespace, perhaps: one cache may serve several stores.
    log.log('warn', `the pages of ${ns} stay: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}
