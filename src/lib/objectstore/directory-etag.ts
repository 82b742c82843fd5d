// What stands for an object's identity in the directory store: a digest of size, times and inode, which every write,
// replacement and rename changes. Also which stats describe a file that is still being put in place.
import { createHash } from 'node:crypto';
import type { DiskStat } from '../disk/disk.ts';

/** A quoted digest, like the ETag of an S3 store. */
export function etagOf(stat: DiskStat): string {
  const identity = `${stat.sizeBytes}:${stat.mtimeNs}:${stat.ctimeNs}:${stat.inode}`;
  return `"${createHash('sha256').update(identity).digest('hex').slice(0, 32)}"`;
}

/** Did the bytes stay the same between two stats of one open file? Unlinking it changes its ctime and not its bytes. */
export function sameBytes(before: DiskStat, after: DiskStat): boolean {
  if (after.links === 0) return before.sizeBytes === after.sizeBytes && before.mtimeNs === after.mtimeNs;
  return etagOf(before) === etagOf(after);
}

const SETTLING_MS_MAX = 1000;

/**
 * A put links its temporary file to its place and then unlinks the temporary name, which changes the ctime once more:
 * in between the ETag is not yet the one that stays. Files that a user hard-linked look the same for a second only.
 */
export function isSettling(stat: DiskStat, nowMs: number): boolean {
  const ageMs = nowMs - Number(stat.ctimeNs / 1_000_000n);
  return stat.kind === 'file' && stat.links > 1 && ageMs >= 0 && ageMs < SETTLING_MS_MAX;
}
