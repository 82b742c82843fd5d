// Makes memory resident on a thread of the pool, by reading zeros into it. For the memory governor, which knows no files.
import { openSync, read } from 'node:fs';
import type { Prefault } from '../base/slab-arenas.ts';

/** @param device that gives zeros; where it cannot be opened nothing is done. It stays open for as long as the process lives. */
export function createPrefault(device: string): Prefault {
  let zeros: number | undefined;
  return (memory) =>
    new Promise((resolve) => {
      try {
        zeros ??= openSync(device, 'r');
      } catch {
        resolve();
        return;
      }
      read(zeros, memory, 0, memory.length, null, () => resolve());
    });
}

export const prefault = createPrefault('/dev/zero');
