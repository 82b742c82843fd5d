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
  await replaceFile(disk, path, { bytes, durable: true });
  await disk.syncDirectory(dirname(path));
}

/**
 * As `writeFileDurably`, but after a power loss the file may be the old one, empty or torn as well: for what can be told
 * from nonsense and found out anew. A sync can take the time of all that others wrote to the same disk.
 * @throws the disk's own errors
 */
export async function writeFileAtomically(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  await replaceFile(disk, path, { bytes: [bytes], durable: false });
}

async function replaceFile(
  disk: Disk,
  path: string,
  { bytes, durable }: { bytes: readonly Uint8Array[]; durable: boolean },
): Promise<void> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  try {
    const file = await disk.open(temporary, 'create');
    try {
      await file.write(bytes, 0);
      if (durable) await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(temporary, path);
  } catch (error) {
    await disk.remove(temporary).catch(() => undefined);
    throw error;
  }
}

/**
 * Makes the directory and its missing parents. `durable` resolves, and never rejects, when the directories that hold the new
 * names are synced: what is synced inside would otherwise be lost with them. A parent that cannot be opened or synced
 * is passed over.
 * @throws the disk's own errors of making directories
 */
export async function makeDirectoryDurably(disk: Disk, path: string): Promise<{ readonly durable: Promise<unknown> }> {
  const missing: string[] = [];
  for (let at = path; !(await exists(disk, at)) && dirname(at) !== at; at = dirname(at)) missing.push(at);
  if (missing.length > 0) await disk.makeDirectory(path);
  const synced = missing.map((made) => disk.syncDirectory(dirname(made)).catch(() => undefined));
  return { durable: Promise.all(synced) };
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
