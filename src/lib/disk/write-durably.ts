// Replaces a small file so that a reader, or the next start after a power loss, sees the old bytes or the new ones and
// never a mixture; makes directories whose names last. Used for HEAD-like files, checkpoints, sidecars and the
// directories of the cache; streams of bytes have writers of their own.
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { systemErrorCode } from '../base/errors.ts';
import type { Disk } from './disk.ts';

/**
 * Temporary file beside `path` (named `<path>.<random>.tmp`), sync, rename, sync of the directory. When it resolves the
 * bytes, in order where they are several, survive a power loss; when it throws, `path` has the old content and the
 * temporary file is gone.
 * @throws the disk's own errors (`code`: ENOSPC, EACCES, …)
 */
export async function writeFileDurably(disk: Disk, path: string, ...bytes: readonly Uint8Array[]): Promise<void> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  try {
    const file = await disk.open(temporary, 'create');
    try {
      await file.write(bytes, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(temporary, path);
  } catch (error) {
    await disk.remove(temporary).catch(() => undefined);
    throw error;
  }
  await disk.syncDirectory(dirname(path));
}

/**
 * Makes the directory and its missing parents, and syncs the directories that hold the new names: what is synced inside
 * would otherwise be lost with them. A parent that cannot be opened or synced is passed over.
 * @throws the disk's own errors of making directories
 */
export async function makeDirectoryDurably(disk: Disk, path: string): Promise<void> {
  const missing: string[] = [];
  for (let at = path; !(await exists(disk, at)) && dirname(at) !== at; at = dirname(at)) missing.push(at);
  if (missing.length === 0) return;
  await disk.makeDirectory(path);
  for (const made of missing) await disk.syncDirectory(dirname(made)).catch(() => undefined);
}

async function exists(disk: Disk, path: string): Promise<boolean> {
  try {
    await disk.stat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
