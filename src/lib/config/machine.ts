// What the configuration needs to know of the machine, where a caller of loadConfig does not say it: directories, the
// file, memory and disk. Everything but the environment, which is the program's to give.
import { readFileSync, statfsSync } from 'node:fs';
import { homedir, totalmem, userInfo } from 'node:os';
import { dirname } from 'node:path';
import { SeekfsError, systemErrorCode, wrapSystemError } from '../base/errors.ts';

export interface Machine {
  /** Relative paths of flags and variables begin here. */
  readonly workingDirectory: string;
  readonly homeDirectory: string;
  /** The text of the file, or undefined where there is none. */
  readonly readFile: (path: string) => string | undefined;
  /** What the process may use: the smaller of the machine's memory and the control group's limit. */
  readonly usableMemoryBytes: number;
  /** Size of the file system that holds, or would hold, the directory; undefined where it cannot be told. */
  readonly diskTotalBytes: (path: string) => number | undefined;
}

export function thisMachine(): Machine {
  return {
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
