// The Disk over node:fs.
import { constants, read, readSync, readv } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import { systemErrorCode } from '../base/errors.ts';
import { makeDirectory } from './make-directory.ts';
import { leadingPart } from './direct.ts';
import type { Disk, DiskFile, DiskSpace, DiskStat, OpenMode } from './disk.ts';

const FLAGS: Readonly<Record<OpenMode, number>> = {
  // Without O_NONBLOCK a FIFO that somebody left among our files would hold a thread of the pool for ever.
  read: constants.O_RDONLY | constants.O_NONBLOCK,
  update: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
};

/** IOV_MAX on Linux; more buffers than that in one call fail with EINVAL. */
const VECTORS_MAX = 1024;

interface BigStat {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
  readonly nlink: bigint;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

function toDiskStat(stat: BigStat): DiskStat {
  return {
    kind: stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'symlink' : 'other',
    sizeBytes: Number(stat.size),
    mtimeNs: stat.mtimeNs,
    ctimeNs: stat.ctimeNs,
    inode: stat.ino,
    links: Number(stat.nlink),
  };
}

function totalBytes(buffers: readonly Uint8Array[]): number {
  let total = 0;
  for (const buffer of buffers) total += buffer.byteLength;
  return total;
}

/** What is left of the buffers after the first `done` bytes of them. */
export function remainder(buffers: readonly Uint8Array[], done: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  let skip = done;
  for (const buffer of buffers) {
    if (skip < buffer.byteLength) left.push(buffer.subarray(skip));
    skip = Math.max(0, skip - buffer.byteLength);
  }
  return left;
}

class NodeFile implements DiskFile {
  readonly #handle: FileHandle;
  /** The same file for writes past the page cache, since the first of them; undefined where that cannot be had. */
  #direct: Promise<FileHandle | undefined> | undefined;
  #reads = 0;
  #onReadsDone: (() => void) | undefined;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  get fd(): number {
    return this.#openFd();
  }

  async read(buffers: readonly Uint8Array[], position: number): Promise<number> {
    const wanted = totalBytes(buffers);
    let done = 0;
    while (done < wanted) {
      const bytesRead = await this.#readOnce(done === 0 ? buffers : remainder(buffers, done), position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  readNow(buffer: Uint8Array, position: number): number {
    let done = 0;
    while (done < buffer.byteLength) {
      const bytesRead = readSync(this.#openFd(), buffer, done, buffer.byteLength - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  /** @throws EBADF once it is closed, when the number may be another file's */
  #openFd(): number {
    const { fd } = this.#handle;
    if (fd >= 0) return fd;
    throw Object.assign(new Error('EBADF: the file is closed, read'), { code: 'EBADF' });
  }

  /** By callback: a read of 16 KiB through the handle's own promises takes the event loop three times as long. */
  #readOnce(buffers: readonly Uint8Array[], position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const onRead = (error: Error | null, bytesRead: number): void => {
        this.#reads -= 1;
        if (this.#reads === 0) this.#onReadsDone?.();
        if (error) reject(error);
        else resolve(bytesRead);
      };
      // What it throws rejects.
      const fd = this.#openFd();
      this.#reads += 1;
      if (buffers.length === 1) read(fd, buffers[0]!, 0, buffers[0]!.byteLength, position, onRead);
      else readv(fd, buffers.slice(0, VECTORS_MAX), position, onRead);
    });
  }

  async write(buffers: readonly Uint8Array[], position: number, options?: { direct: boolean }): Promise<void> {
    const wanted = totalBytes(buffers);
    let done = 0;
    while (done < wanted) {
      const left = done === 0 ? buffers : remainder(buffers, done);
      done += await (options?.direct
        ? this.#writeDirect(left, position + done)
        : this.#writeOnce(left, position + done));
    }
  }

  async #writeOnce(buffers: readonly Uint8Array[], position: number, handle = this.#handle): Promise<number> {
    return (await handle.writev(buffers.slice(0, VECTORS_MAX), position)).bytesWritten;
  }

  /** The first part of the buffers, past the page cache if it can go there. */
  async #writeDirect(buffers: readonly Uint8Array[], position: number): Promise<number> {
    const part = leadingPart(buffers, position);
    const direct = part.direct ? await (this.#direct ??= this.#openDirect()) : undefined;
    try {
      return await this.#writeOnce(part.buffers, position, direct);
    } catch (error) {
      // File systems that open a file so need not write it so.
      if (!direct || systemErrorCode(error) !== 'EINVAL') throw error;
      this.#direct = Promise.resolve(undefined);
      await direct.close();
      return this.#writeOnce(part.buffers, position);
    }
  }

  /** By its number: its name may be another's by now. */
  async #openDirect(): Promise<FileHandle | undefined> {
    if (process.platform !== 'linux') return undefined;
    return fs.open(`/proc/self/fd/${this.#openFd()}`, constants.O_WRONLY | constants.O_DIRECT).catch(() => undefined);
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#handle.truncate(sizeBytes);
  }

  async stat(): Promise<DiskStat> {
    return toDiskStat(await this.#handle.stat({ bigint: true }));
  }

  async close(): Promise<void> {
    // The handle does not know of them: its number may be another file's before they have begun.
    if (this.#reads > 0) await new Promise<void>((resolve) => (this.#onReadsDone = resolve));
    await (await this.#direct)?.close();
    await this.#handle.close();
  }
}

export const nodeDisk: Disk = {
  open: async (path, mode) => new NodeFile(await fs.open(path, FLAGS[mode])),
  stat: async (path) => toDiskStat(await fs.lstat(path, { bigint: true })),
  list: async (path) => (await fs.readdir(path)).sort(),
  makeDirectory,
  removeDirectory: (path) => fs.rmdir(path),
  rename: (from, to) => fs.rename(from, to),
  link: (from, to) => fs.link(from, to),
  remove: (path) => fs.unlink(path),
  syncDirectory: async (path) => {
    const handle = await fs.open(path, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  // Node has no syncfs(2). The program of coreutils and BusyBox that calls it says by its status whether it did.
  syncFileSystem: async (path) => {
    if (process.platform !== 'linux') return false;
    // Not for everybody to load.
    const { execFile } = await import('node:child_process');
    return new Promise((resolve) => execFile('sync', ['-f', path], (error) => resolve(error === null)));
  },
  space: async (path): Promise<DiskSpace> => {
    const stat = await fs.statfs(path);
    return { freeBytes: stat.bavail * stat.bsize, totalBytes: stat.blocks * stat.bsize };
  },
};
