// What the configuration needs to know of the machine and the process, and nothing more: environment, directories,
// memory, disk. The library gets it as an argument.
import { readFileSync, statfsSync } from 'node:fs';
import { homedir, totalmem, userInfo } from 'node:os';
import { dirname } from 'node:path';
import { SeekfsError, systemErrorCode, wrapSystemError } from '../lib/base/errors.ts';
import type { LoadOptions } from '../lib/config/load.ts';

export function machineFacts(): Omit<LoadOptions, 'configFile' | 'flags' | 'oneShot' | 'readsOnce'> {
  return {
    env: process.env,
    workingDirectory: process.cwd(),
    // An empty HOME would make every default a path relative to the working directory.
    homeDirectory: homedir() || userInfo().homedir,
    readFile,
    usableMemoryBytes: usableMemoryBytes(),
    diskTotalBytes,
  };
}

function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (code === 'EISDIR') throw new SeekfsError('config_invalid', `the configuration file ${path} is a directory`);
    throw wrapSystemError(error, `read the configuration file ${path}`);
  }
}

/** The control group's limit where there is one; without, Node gives 0 or more than the machine has. */
function usableMemoryBytes(): number {
  const total = totalmem();
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(total, constrained) : total;
}

/** Of the nearest directory that exists. */
function diskTotalBytes(path: string): number | undefined {
  try {
    const { blocks, bsize } = statfsSync(path);
    return blocks * bsize;
  } catch (error) {
    const parent = dirname(path);
    return systemErrorCode(error) === 'ENOENT' && parent !== path ? diskTotalBytes(parent) : undefined;
  }
}

/** The soft limit of open files; undefined where the system does not tell. */
export function openFilesMax(): number | undefined {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}
