// cache.json: the capacity that a cache directory was created with, where the configuration gives none. Half of what is
// free must mean half of what was free at first, not of what the cache itself has left over.
import { dirname } from 'node:path';
import { systemErrorCode } from '../base/errors.ts';
import type { Disk } from '../disk/disk.ts';
import { writeFileAtomically } from '../disk/write-durably.ts';

const FORMAT = 1;
const BYTES_MAX = 4096;

export interface RememberedCapacity {
  readonly capacityBytes: number;
  /** Writes it down, unless somebody did. @throws system errors of the disk */
  remember(nowMs: number): Promise<void>;
}

/** What the file says, else half of the free space; a file that makes no sense counts as none. Never throws. */
export async function rememberedCapacity(disk: Disk, path: string): Promise<RememberedCapacity> {
  const known = await readCapacity(disk, path).catch(() => undefined);
  if (known !== undefined) return { capacityBytes: known, remember: () => Promise.resolve() };
  const capacityBytes = Math.floor((await freeBytes(disk, dirname(path))) / 2);
  return {
    capacityBytes,
    remember: async (nowMs) => {
      if ((await readCapacity(disk, path).catch(() => undefined)) !== undefined) return;
      const text = JSON.stringify({
        format: FORMAT,
        created_at: Math.floor(nowMs / 1000),
        capacity_bytes: capacityBytes,
      });
      await writeFileAtomically(disk, path, Buffer.from(`${text}\n`));
    },
  };
}

async function readCapacity(disk: Disk, path: string): Promise<number | undefined> {
  const file = await disk.open(path, 'read');
  try {
    const bytes = Buffer.alloc(BYTES_MAX);
    const length = await file.read([bytes], 0);
    const parsed = JSON.parse(bytes.toString('utf8', 0, length)) as Record<string, unknown> | null;
    const capacity = parsed?.['format'] === FORMAT ? parsed['capacity_bytes'] : undefined;
    return typeof capacity === 'number' && Number.isSafeInteger(capacity) && capacity >= 0 ? capacity : undefined;
  } finally {
    await file.close();
  }
}

/** Of the file system that the directory is on, or will be on. */
async function freeBytes(disk: Disk, directoryPath: string): Promise<number> {
  for (let path = directoryPath; ; path = dirname(path)) {
    try {
      return (await disk.space(path)).freeBytes;
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT' || dirname(path) === path) return 0;
    }
  }
}
