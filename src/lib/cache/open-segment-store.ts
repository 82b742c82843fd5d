// Wires the segmentstore of one directory: index, segments, bounds, queue, maintenance. Used by the composition root,
// maintenance commands and tests; creates nothing on disk before the first page is written.
import type { Clock } from '../base/clock.ts';
import { loadCrc32c } from '../base/crc32c.ts';
import { OnceLogger, type Logger } from '../base/log.ts';
import type { MemoryGovernor } from '../base/memory.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import type { Disk } from '../disk/disk.ts';
import { LockFile } from '../disk/lock-file.ts';
import { systemProcesses, type Processes } from '../disk/process-identity.ts';
import { CapacityGuard } from './capacity.ts';
import { rememberedCapacity, type RememberedCapacity } from './capacity-file.ts';
import { layoutOf, type CacheLayout } from './layout.ts';
import { LogWriter } from './log-writer.ts';
import { Maintenance, type MaintenanceParts } from './maintenance.ts';
import { FileKeys } from './page-key.ts';
import type { RetentionName } from './policy/policy.ts';
import { Retention } from './policy/retention.ts';
import { RecordIndex } from './record-index.ts';
import { RecordReader } from './record-reader.ts';
import { Rewriter } from './rewriter.ts';
import { SegmentSet } from './segment-set.ts';
import { loadSidecar } from './sidecar.ts';
import { SegmentStore, type SegmentStoreParts } from './segment-store.ts';
import { WriteQueue } from './write-queue.ts';

export interface SegmentStoreOptions {
  readonly disk: Disk;
  /** The cache directory. */
  readonly directoryPath: string;
  /** Undefined: half of the space that was free when the cache was created. */
  readonly capacityBytes: number | undefined;
  /** Undefined: min(10 %, 32 GiB) of the file system. */
  readonly freeReserveBytes: number | undefined;
  /** Bound of the page bytes of any one namespace; undefined: none but the capacity. */
  readonly namespaceQuotaBytes?: number | undefined;
  /** Default auto. */
  readonly policyOf?: ((ns: string) => RetentionName) | undefined;
  /** What is written is not read again soon, and need not lie in the operating system's memory; default that it is. */
  readonly readsOnce?: boolean | undefined;
  readonly memory: MemoryGovernor;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Default: those of this machine. */
  readonly processes?: Processes | undefined;
}

/** Never fails for what is on disk: a directory that is missing, unreadable or damaged is an empty cache. */
export async function openSegmentStore(options: SegmentStoreOptions): Promise<SegmentStore> {
  await loadCrc32c();
  const layout = layoutOf(options.directoryPath);
  const quotaBytes = options.namespaceQuotaBytes ?? Number.POSITIVE_INFINITY;
  const countNamespaces = Number.isFinite(quotaBytes);
  const parts = wire(options, {
    layout,
    quotaBytes,
    countNamespaces,
    remembered: await rememberedCapacity(options.disk, layout.capacity),
    owner: JSON.stringify(await (options.processes ?? systemProcesses).current()),
  });
  const store = new SegmentStore(parts);
  // The sidecar has no names, and so no namespaces: with a quota the footers of the segments are read instead.
  if (!countNamespaces) await loadSidecar(options.disk, layout.sidecar, parts.set);
  await store.refresh();
  return store;
}

/** What has to be found out before anything is built. */
interface Groundwork {
  readonly layout: CacheLayout;
  readonly quotaBytes: number;
  readonly countNamespaces: boolean;
  readonly remembered: RememberedCapacity;
  /** Who writes, for the headers of segments. */
  readonly owner: string;
}

function wire(options: SegmentStoreOptions, groundwork: Groundwork): SegmentStoreParts {
  const { disk, memory, metrics, clock, random, log, readsOnce, policyOf = () => 'auto' } = options;
  const { layout, owner, quotaBytes, countNamespaces } = groundwork;
  const around = { disk, memory, metrics, clock };
  // One for all who read: a broken disk is one warning, whoever meets it first.
  const once = new OnceLogger(log);
  const index = new RecordIndex();
  const set = new SegmentSet({ ...around, directoryPath: layout.segments, index, log: once, countNamespaces });
  const keys = new FileKeys();
  const reader = new RecordReader({ ...around, set, log: once });
  const retention = new Retention({ policyOf });
  const reads = { begun: 0, underWay: 0 };
  const capacity = guardCapacity(options, groundwork, set, (bytes) => maintenance.makeRoom(bytes));
  const writing = { disk, set, capacity, random, clock, owner, readsOnce, progress: { value: 0 } };
  const maintenance = new Maintenance({
    ...around,
    ...lockOf(options, layout),
    set,
    layout,
    capacity,
    newWriter: () => new LogWriter({ ...writing, purpose: 'rewrite' }),
    newRewriter: (writer) => new Rewriter({ ...around, set, reader, writer }),
    retention,
    reads,
    log,
  });
  const writer = new LogWriter({ ...writing, purpose: 'insert', onNewSegment: () => void maintenance.upkeep() });
  const shrink = (ns: string, bytes: number): Promise<void> => maintenance.shrink(ns, bytes);
  const queue = new WriteQueue({ ...around, ...writing, writer, keys, log, quotaBytes, shrink });
  return { ...around, set, reader, queue, capacity, retention, maintenance, keys, reads, quotaBytes, log: once };
}

function guardCapacity(
  options: SegmentStoreOptions,
  { remembered }: Groundwork,
  set: SegmentSet,
  makeRoom: (bytes: number) => Promise<void>,
): CapacityGuard {
  return new CapacityGuard({
    disk: options.disk,
    set,
    capacityBytes: options.capacityBytes ?? remembered.capacityBytes,
    freeReserveBytes: options.freeReserveBytes,
    beforeFirst: () => remembered.remember(options.clock.nowMs()),
    makeRoom,
  });
}

function lockOf(
  { disk, clock, processes = systemProcesses }: SegmentStoreOptions,
  layout: CacheLayout,
): Pick<MaintenanceParts, 'lock' | 'processes'> {
  return { lock: new LockFile({ disk, directory: layout.lock, clock, processes }), processes };
}
