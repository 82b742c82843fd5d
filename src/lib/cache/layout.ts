// Names of the folders and files in a cache directory. Pure.
import { join } from 'node:path';

export interface CacheLayout {
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
    segments: join(directoryPath, 'segments'),
    lock: join(directoryPath, 'lock'),
    readers: join(directoryPath, 'readers'),
    claims: join(directoryPath, 'claims'),
    capacity: join(directoryPath, 'cache.json'),
    sidecar: join(directoryPath, 'index.bin'),
    sqlite: join(directoryPath, 'index.sqlite'),
  };
}
