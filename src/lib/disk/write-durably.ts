// Replaces a small file so that a reader, or the next start after a power loss, sees the old bytes or the new ones and
// never a mixture. Used for HEAD-like files, checkpoints and sidecars; streams of bytes have writers of their own.
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import type { Disk } from './disk.ts';

/**
 * Temporary file beside `path` (named `<path>.<random>.tmp`), sync, rename, sync of the directory. When it resolves the
 * bytes survive a power loss; when it throws, `path` has the old content and the temporary file is gone.
 * @throws the disk's own errors (`code`: ENOSPC, EACCES, …)
 */
export async function writeFileDurably(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  try {
    const file = await disk.open(temporary, 'create');
    try {
      await file.write([bytes], 0);
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
