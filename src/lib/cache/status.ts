// What a segmentstore holds, for people: use and bounds, and how much of each file is resident. Reads footers, changes
// nothing; used by `status`, by `gc --dry-run` and by the status page.
import { recordBytes } from '../segment/format.ts';
import type { CapacityGuard } from './capacity.ts';
import type { IsDead } from './cleaning.ts';
import { decodeGroup, decodeItem, type FileName } from './page-key.ts';
import type { SegmentSet } from './segment-set.ts';

export interface FileResidency extends FileName {
  /** Of the file's bytes; what lies in two records counts twice until compaction. */
  readonly bytes: number;
  /** Records: runs of granules of one page each. */
  readonly records: number;
}

export interface StoreStatus {
  readonly directoryPath: string;
  /** What the segments take or have reserved; never more than the capacity. */
  readonly boundBytes: number;
  readonly capacityBytes: number;
  readonly segments: number;
  readonly records: number;
  readonly indexBytes: number;
  /** Ordered by namespace, path and identity. */
  readonly files: readonly FileResidency[];
}

export async function statusOf(set: SegmentSet, capacity: CapacityGuard): Promise<StoreStatus> {
  const files = new Map<string, { name: FileName; bytes: number; records: number }>();
  for (const segment of set) {
    for (const entry of (await set.entriesOf(segment)) ?? []) {
      const name = decodeGroup(entry.group);
      if (!name || !decodeItem(entry.item, entry.payloadBytes)) continue;
      const key = entry.group.toString('latin1');
      const file = files.get(key) ?? { name, bytes: 0, records: 0 };
      file.bytes += entry.payloadBytes;
      file.records += 1;
      files.set(key, file);
    }
  }
  return {
    directoryPath: set.directoryPath,
    boundBytes: set.boundBytes,
    capacityBytes: capacity.capacityBytes,
    segments: [...set].length,
    records: set.index.count,
    indexBytes: set.index.memoryBytes,
    files: [...files.values()]
      .map(({ name, bytes, records }) => ({ ...name, bytes, records }))
      .sort((a, b) => compare(a.ns, b.ns) || compare(a.path, b.path) || compare(a.identity, b.identity)),
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export interface CleanPlan {
  readonly deadRecords: number;
  readonly deadBytes: number;
  /** What is over the capacity, or needed to keep the free-space reserve, before dead pages go. */
  readonly overBytes: number;
}

/** What cleaning would give back: a floor, because compaction finds duplicates as well. */
export async function planCleaning(set: SegmentSet, capacity: CapacityGuard, isDead: IsDead): Promise<CleanPlan> {
  let deadRecords = 0;
  let deadBytes = 0;
  for (const segment of set) {
    const dead = new Map<Buffer, boolean>();
    for (const entry of (await set.entriesOf(segment)) ?? []) {
      let isDeadFile = dead.get(entry.group);
      if (isDeadFile === undefined) {
        const name = decodeGroup(entry.group);
        dead.set(entry.group, (isDeadFile = name !== undefined && isDead(name)));
      }
      if (!isDeadFile) continue;
      deadRecords += 1;
      deadBytes += recordBytes(entry);
    }
  }
  const hasSegments = [...set].length > 0;
  const overBytes = hasSegments ? Math.max(0, -(await capacity.roomBytes('insert'))) : 0;
  return { deadRecords, deadBytes, overBytes };
}
