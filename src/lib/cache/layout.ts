// Names of the folders and files in a cache directory, and what lies where one of them belongs and is none.
import { join, relative } from 'node:path';
import type { Disk } from '../disk/disk.ts';
import { statIfThere } from '../disk/if-there.ts';

export interface CacheLayout {
  /** The cache directory itself. */
  readonly directory: string;
  readonly segments: string;
  /** Folder of the maintenance lock. */
  readonly lock: string;
  /** Folder of what running readers have pinned. */
  readonly readers: string;
  /** Folder of what processes of the host are fetching. */
  readonly claims: string;
  readonly capacity: string;
  readonly sidecar: string;
  readonly sqlite: string;
}

export function layoutOf(directoryPath: string): CacheLayout {
  return {
    directory: directoryPath,
    segments: join(directoryPath, 'segments'),
    lock: join(directoryPath, 'lock'),
    readers: join(directoryPath, 'readers'),
    claims: join(directoryPath, 'claims'),
    capacity: join(directoryPath, 'cache.json'),
    sidecar: join(directoryPath, 'index.bin'),
    sqlite: join(directoryPath, 'index.sqlite'),
  };
}

export interface Misplaced {
  readonly path: string;
  /** Within the cache directory; a dot for itself. */
  readonly name: string;
  /** What it is, where what belongs, and what to do. */
  readonly detail: string;
}

/** Directories where files belong and the other way round: nothing of ours, so nobody but its owner may remove it. */
export async function findMisplaced(disk: Disk, layout: CacheLayout): Promise<Misplaced[]> {
  const { directory, segments, lock, readers, claims, capacity, sidecar, sqlite } = layout;
  const wanted = new Map<string, 'file' | 'directory'>();
  for (const path of [directory, segments, lock, readers, claims]) wanted.set(path, 'directory');
  for (const path of [capacity, sidecar, sqlite]) wanted.set(path, 'file');
  const misplaced: Misplaced[] = [];
  for (const [path, kind] of wanted) {
    const found = (await statIfThere(disk, path))?.kind;
    // What a link leads to is its owner's matter.
    if (found === undefined || found === kind || found === 'symlink') continue;
    const what = found === 'other' ? 'neither file nor directory' : `a ${found}`;
    const detail = `${what} where a ${kind} of the cache belongs; move it away`;
    misplaced.push({ path, name: relative(directory, path) || '.', detail });
  }
  return misplaced;
}
