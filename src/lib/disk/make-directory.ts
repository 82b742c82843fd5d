// mkdir -p in bounded steps. Used instead of Node's recursive mkdir, which never returns where a file system answers
// ENOENT although the parent is there, as /proc does.
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemErrorCode } from '../base/errors.ts';

/** Makes the directory and its missing parents; no error where it exists. @throws Node's system errors */
export async function makeDirectory(path: string): Promise<void> {
  if (await makeOne(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makeDirectory(parent);
  await mkdir(path).catch(async (error: unknown) => {
    if (systemErrorCode(error) !== 'EEXIST' || !(await isDirectory(path))) throw error;
  });
}

/** False where the parent is missing. */
async function makeOne(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT') return false;
    if (code === 'EEXIST' && (await isDirectory(path))) return true;
    throw error;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path)).isDirectory();
}
