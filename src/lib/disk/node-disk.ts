// The Disk over node:fs.
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import { makeDirectory } from './make-directory.ts';
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
function remainder(buffers: readonly Uint8Array[], done: number): Uint8Array[] {
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

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(buffers: readonly Uint8Array[], position: number): Promise<number> {
    const wanted = totalBytes(buffers);
    let done = 0;
    while (done < wanted) {
      const left = done === 0 ? buffers : remainder(buffers, done);
      const { bytesRead } =
        left.length === 1
          ? await this.#handle.read(left[0]!, 0, left[0]!.byteLength, position + done)
          : await this.#handle.readv(left.slice(0, VECTORS_MAX), position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    const wanted = totalBytes(buffers);
    let done = 0;
    while (done < wanted) {
      const left = done === 0 ? buffers : remainder(buffers, done);
      const { bytesWritten } = await this.#handle.writev(left.slice(0, VECTORS_MAX), position + done);
      done += bytesWritten;
    }
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

  close(): Promise<void> {
    return this.#handle.close();
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
  syncFileSystem: (path) =>
    new Promise((resolve) => {
      if (process.platform !== 'linux') resolve(false);
      else execFile('sync', ['-f', path], (error) => resolve(error === null));
    }),
  space: async (path): Promise<DiskSpace> => {
    const stat = await fs.statfs(path);
    return { freeBytes: stat.bavail * stat.bsize, totalBytes: stat.blocks * stat.bsize };
  },
};
