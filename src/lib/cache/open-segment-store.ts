// Wires the segmentstore of one directory: index, segments, capacity, queue. Used by the composition root, maintenance
// and tests; creates nothing on disk before the first page is written.
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { loadCrc32c } from '../base/crc32c.ts';
import { OnceLogger, type Logger } from '../base/log.ts';
import type { MemoryGovernor } from '../base/memory.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import { MIB } from '../base/units.ts';
import type { Disk } from '../disk/disk.ts';
import { CapacityGuard } from './capacity.ts';
import { FileKeys } from './page-key.ts';
import { RecordIndex } from './record-index.ts';
import { RecordReader } from './record-reader.ts';
import { SegmentSet } from './segment-set.ts';
import { SegmentStore } from './segment-store.ts';
import { WriteQueue } from './write-queue.ts';

const QUEUE_BYTES_MAX = 64 * MIB;
const SEGMENTS_FOLDER = 'segments';

export interface SegmentStoreOptions {
  readonly disk: Disk;
  /** The cache directory; segments lie in its folder `segments`. */
  readonly directoryPath: string;
  readonly capacityBytes: number | undefined;
  readonly freeReserveBytes: number | undefined;
  readonly memory: MemoryGovernor;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Who writes, as text of at most 512 bytes for the header of its segments. */
  readonly owner?: string | undefined;
}

/** Never fails for what is on disk: a directory that is missing, unreadable or damaged is an empty cache. */
export async function openSegmentStore(options: SegmentStoreOptions): Promise<SegmentStore> {
  await loadCrc32c();
  const { disk, memory, metrics, log, clock, random } = options;
  const directoryPath = join(options.directoryPath, SEGMENTS_FOLDER);
  // One for all who read: a broken disk is one warning, whoever meets it first.
  const once = new OnceLogger(log);
  const set = new SegmentSet({ disk, directoryPath, index: new RecordIndex(), metrics, log: once });
  const keys = new FileKeys();
  const capacity = new CapacityGuard({
    disk,
    set,
    capacityBytes: options.capacityBytes ?? Number.MAX_SAFE_INTEGER,
    freeReserveBytes: options.freeReserveBytes,
  });
  const queueBytesMax = Math.min(QUEUE_BYTES_MAX, memory.limitBytes / 4);
  const owner = options.owner ?? `pid ${process.pid}`;
  const queue = new WriteQueue({ disk, set, keys, capacity, random, clock, metrics, log, owner, queueBytesMax });
  const reader = new RecordReader({ set, metrics, log: once });
  const store = new SegmentStore({ set, reader, queue, keys, memory, metrics, log: once, clock });
  await store.refresh();
  return store;
}
