// A pipe as a shell makes it (what Node's spawn makes are sockets), with both ends in this process.
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../../src/lib/base/errors.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export class NamedPipe {
  readonly readEnd: number;
  readonly writeEnd: number;
  readonly #open: Set<number>;

  private constructor(readEnd: number, writeEnd: number) {
    this.readEnd = readEnd;
    this.writeEnd = writeEnd;
    this.#open = new Set([readEnd, writeEnd]);
  }

  /** `nonBlocking`: the end that is written to. */
  static async create(options: { nonBlocking?: boolean } = {}): Promise<NamedPipe> {
    const path = join(await temporaryDirectory('seekfs-pipe'), 'pipe');
    execFileSync('mkfifo', [path]);
    const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const mode = constants.O_WRONLY | (options.nonBlocking ? constants.O_NONBLOCK : 0);
    return new NamedPipe(readEnd, openSync(path, mode));
  }

  /** What is in the pipe now, at most 64 KiB of it; empty where that is nothing, or nobody has the other end. */
  take(): Buffer {
    const bytes = Buffer.alloc(65_536);
    try {
      return bytes.subarray(0, readSync(this.readEnd, bytes));
    } catch (error) {
      if (systemErrorCode(error) === 'EAGAIN') return bytes.subarray(0, 0);
      throw error;
    }
  }

  close(end: number): void {
    if (this.#open.delete(end)) closeSync(end);
  }

  [Symbol.dispose](): void {
    for (const end of this.#open) this.close(end);
  }
}
