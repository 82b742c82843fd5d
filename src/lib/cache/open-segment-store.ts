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
import { CapacityGuard, type Purpose } from './capacity.ts';
import { rememberedCapacity } from './capacity-file.ts';
import { layoutOf } from './layout.ts';
import { LogWriter } from './log-writer.ts';
import { Maintenance } from './maintenance.ts';
import { FileKeys } from './page-key.ts';
import type { RetentionName } from './policy/policy.ts';
import { Retention } from './policy/retention.ts';
import { RecordIndex } from './record-index.ts';
import { RecordReader } from './record-reader.ts';
import { Rewriter } from './rewriter.ts';
import { SegmentSet } from './segment-set.ts';
import { loadSidecar } from './sidecar.ts';
import { SegmentStore } from './segment-store.ts';
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
  const { disk, memory, metrics, log, clock, random, processes = systemProcesses } = options;
  // One for all who read: a broken disk is one warning, whoever meets it first.
  const once = new OnceLogger(log);
  const layout = layoutOf(options.directoryPath);
  const owner = JSON.stringify(await processes.current());
  const quotaBytes = options.namespaceQuotaBytes ?? Number.POSITIVE_INFINITY;
  const countNamespaces = Number.isFinite(quotaBytes);
  const index = new RecordIndex();
  const set = new SegmentSet({
    disk,
    directoryPath: layout.segments,
    index,
    clock,
    metrics,
    log: once,
    countNamespaces,
  });
  const keys = new FileKeys();
  const reader = new RecordReader({ set, metrics, log: once, clock });
  const retention = new Retention({ policyOf: options.policyOf ?? (() => 'auto') });
  const remembered = await rememberedCapacity(disk, layout.capacity);
  const capacity = new CapacityGuard({
    disk,
    set,
    capacityBytes: options.capacityBytes ?? remembered.capacityBytes,
    freeReserveBytes: options.freeReserveBytes,
    beforeFirst: () => remembered.remember(clock.nowMs()),
    makeRoom: (bytes) => maintenance.makeRoom(bytes),
  });
  const progress = { value: 0 };
  const reads = { begun: 0, underWay: 0 };
  const newWriter = (purpose: Purpose): LogWriter =>
    new LogWriter({
      disk,
      set,
      capacity,
      random,
      clock,
      owner,
      purpose,
      progress,
      onNewSegment: purpose === 'insert' ? () => void maintenance.upkeep() : undefined,
    });
  const maintenance = new Maintenance({
    disk,
    set,
    lock: new LockFile({ disk, directory: layout.lock, clock, processes }),
    processes,
    paths: layout,
    capacity,
    newWriter: () => newWriter('rewrite'),
    newRewriter: (writer) => new Rewriter({ set, reader, writer, memory, clock }),
    retention,
    reads,
    clock,
    metrics,
    log,
  });
  const queue = new WriteQueue({
    set,
    writer: newWriter('insert'),
    keys,
    memory,
    capacity,
    clock,
    metrics,
    log,
    progress,
    quotaBytes,
    shrink: (ns, bytes) => maintenance.shrink(ns, bytes),
  });
  const layers = { set, reader, queue, capacity, retention, maintenance };
  const store = new SegmentStore({ ...layers, keys, reads, quotaBytes, memory, metrics, log: once, clock });
  // The sidecar has no names, and so no namespaces: with a quota the footers of the segments are read instead.
  if (!countNamespaces) await loadSidecar(disk, layout.sidecar, set);
  await store.refresh();
  return store;
}
