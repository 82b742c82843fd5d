// The directory of everything that is kept on this host, as the composition root sees it: made at its first use, and
// where there can be none, one warning and none. What is read-only or full is a directory; its parts see to that.
import { mkdirSync, statSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { reasonOf, systemErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

export class CacheDirectory {
  readonly #wanted: string;
  readonly #log: Logger;
  #usable: boolean | undefined;

  constructor(path: string, log: Logger) {
    this.#wanted = path;
    this.#log = log;
  }

  /** Undefined: nothing can be kept. */
  get path(): string | undefined {
    this.#usable ??= this.#make();
    return this.#usable ? this.#wanted : undefined;
  }

  #make(): boolean {
    try {
      // Nearly always there, for a call of some microseconds.
      if (!isDirectory(this.#wanted)) makeDirectoryNow(this.#wanted);
      return true;
    } catch (error) {
      const isTaken = systemErrorCode(error) === 'EEXIST';
      const reason = isTaken ? 'there is a file of that name' : reasonOf(error);
      this.#log.log(
        'warn',
        `cannot make the cache directory ${this.#wanted}: ${reason}; nothing is kept, give another directory with --cache`,
      );
      return false;
    }
  }
}

/** Below a file Node 20 throws ENOTDIR, and Node 24 finds nothing. */
function statusOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function isDirectory(path: string): boolean {
  return statusOf(path)?.isDirectory() ?? false;
}

/** As `makeDirectory` of the disk, at once. */
function makeDirectoryNow(path: string): void {
  const parent = dirname(path);
  if (parent !== path && !statusOf(parent)) makeDirectoryNow(parent);
  try {
    mkdirSync(path);
  } catch (error) {
    // Another process made it meanwhile.
    if (systemErrorCode(error) !== 'EEXIST' || !isDirectory(path)) throw error;
  }
}
