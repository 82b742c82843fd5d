// What cleaning would give back, without doing it: for `gc --dry-run`. Reads footers, changes nothing.
import { recordBytes } from '../segment/format.ts';
import type { CapacityGuard } from './capacity.ts';
import type { IsDead } from './cleaning.ts';
import { decodeGroup } from './page-key.ts';
import type { SegmentSet } from './segment-set.ts';

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
