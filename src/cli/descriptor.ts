// stdout as a descriptor: bytes of files go to a pipe or a file with blocking writes in Node's thread pool, so that the
// next bytes are read and checked meanwhile. (Through `process.stdout` the event loop writes to a pipe 64 KiB at a time
// and to a file with all else standing still.) Sees a reader that went away without having to write, and knows how to end
// a write that nobody takes. Used by stdout.ts.
import { close, constants, open, readdirSync, writev } from 'node:fs';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { remainder } from '../lib/disk/node-disk.ts';
import { systemErrorCode } from '../lib/base/errors.ts';
import type { WriteBytes } from './output.ts';

/** How often a pipe is asked whether somebody still has its other end. */
const READER_CHECK_MS = 200;
/** A thread that was signalled comes back to its system call within microseconds. */
const THREAD_WAIT_MS = 20;

export class DescriptorOutput {
  readonly #fd: number;
  readonly #otherwise: () => WriteBytes;
  #instead: WriteBytes | undefined;
  #writing = false;
  #givenUp = false;

  /** `otherwise` takes over where the descriptor turns out not to block, as who shares a pipe with us may have set it. */
  constructor(fd: number, otherwise: () => WriteBytes) {
    this.#fd = fd;
    this.#otherwise = otherwise;
  }

  /** A write is under way, and ends only when somebody takes its bytes. */
  get writing(): boolean {
    return this.#writing;
  }

  /** One call at a time. @throws system errors */
  async write(buffers: readonly Uint8Array[]): Promise<void> {
    let left = buffers;
    while (left.length > 0 && !this.#instead) {
      try {
        left = remainder(left, await this.#writeSome(left));
      } catch (error) {
        if (this.#givenUp || systemErrorCode(error) !== 'EAGAIN') throw error;
        this.#instead = this.#otherwise();
      }
    }
    if (left.length > 0) await this.#instead!(left);
  }

  #writeSome(buffers: readonly Uint8Array[]): Promise<number> {
    this.#writing = true;
    return new Promise((resolve, reject) => {
      writev(this.#fd, buffers, (error, bytesWritten) => {
        this.#writing = false;
        if (error) reject(error);
        else resolve(bytesWritten);
      });
    });
  }

  /**
   * Ends a write that nobody takes: Node joins the threads of its pool before a process ends, so one that hangs in
   * write(2) would keep the process for ever. The descriptor becomes non-blocking, and a signal makes the thread enter
   * its system call anew, which then fails with EAGAIN. Threads are signalled one by one, the youngest first, since a signal
   * that is pending already is dropped. False where that is not to be had: then only a deadly signal ends the process.
   */
  async giveUp(): Promise<boolean> {
    this.#givenUp = true;
    if (!this.#writing) return true;
    // Opening the stream is what sets O_NONBLOCK; Node sets the flags back at its end.
    void process.stdout;
    const ignore = (): void => undefined;
    process.on('SIGURG', ignore);
    for (const thread of threadsOfProcess()) {
      const heard = once(process, 'SIGURG');
      try {
        process.kill(thread, 'SIGURG');
      } catch {
        continue;
      }
      await Promise.race([heard, sleep(THREAD_WAIT_MS)]);
      for (let turns = 0; turns < 3 && this.#writing; turns += 1) await sleep(1);
      if (!this.#writing) return true;
    }
    return false;
  }

  /**
   * Tells when the last reader of a pipe is gone, also while there is nothing to write, for which Node has no event: a
   * pipe without readers cannot be opened for writing. Does not keep the process alive.
   */
  onReaderGone(tell: () => void): void {
    const path = `/proc/self/fd/${this.#fd}`;
    const timer = setInterval(() => {
      open(path, constants.O_WRONLY | constants.O_NONBLOCK, (error, fd) => {
        if (!error) {
          close(fd);
          return;
        }
        clearInterval(timer);
        if (systemErrorCode(error) === 'ENXIO') tell();
      });
    }, READER_CHECK_MS);
    timer.unref();
  }
}

/** Ids of the other threads, the youngest first; none where the system does not tell. */
function threadsOfProcess(): number[] {
  try {
    const threads = readdirSync('/proc/self/task').map(Number);
    return threads.filter((thread) => thread !== process.pid).sort((a, b) => b - a);
  } catch {
    return [];
  }
}
