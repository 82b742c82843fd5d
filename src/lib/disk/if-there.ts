// Looks at what may not be there, where that is an answer and no failure. Used by whoever shares directories with other
// processes, which come and go.
import { systemErrorCode } from '../base/errors.ts';
import type { Disk, DiskStat } from './disk.ts';

/** As `Disk.list`; undefined where there is no such directory. @throws the disk's other errors */
export async function listIfThere(disk: Disk, path: string): Promise<string[] | undefined> {
  try {
    return await disk.list(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** As `Disk.stat`; undefined where nothing has, or can have, that path. @throws the disk's other errors */
export async function statIfThere(disk: Disk, path: string): Promise<DiskStat | undefined> {
  try {
    return await disk.stat(path);
  } catch (error) {
    const errno = systemErrorCode(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ENAMETOOLONG') return undefined;
    throw error;
  }
}
