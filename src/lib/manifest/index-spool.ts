// Where an index is written before it is read: a temporary file in the local cache, or memory where there is no cache,
// it is full, or the index is small. A finished file is kept by renaming it.
import { randomBytes } from 'node:crypto';
import { open, rename, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { wrapSystemError } from '../base/errors.ts';
import { makeDirectory } from '../disk/make-directory.ts';
import { fileSource, memorySource, type IndexSource } from './index-version.ts';

export interface IndexSpool {
  /** Of the file; undefined in memory. */
  readonly path: string | undefined;
  append(chunks: readonly Buffer[]): Promise<void>;
  /** Forgets what was appended. */
  reset(): Promise<void>;
  /** Nothing more comes: the bytes, to be read; the spool may be kept or dropped meanwhile. */
  source(): Promise<IndexSource>;
  /** Makes the file the one of that path. In memory: nothing. @throws disk_full, access_denied */
  keep(path: string): Promise<void>;
  /** Gives back what it holds; a kept file stays. */
  drop(): Promise<void>;
}

export class MemorySpool implements IndexSpool {
  readonly path = undefined;
  #chunks: Buffer[] = [];

  append(chunks: readonly Buffer[]): Promise<void> {
    this.#chunks.push(...chunks);
    return Promise.resolve();
  }

  reset(): Promise<void> {
    this.#chunks = [];
    return Promise.resolve();
  }

  source(): Promise<IndexSource> {
    const bytes = Buffer.concat(this.#chunks);
    this.#chunks = [bytes];
    return Promise.resolve(memorySource(bytes));
  }

  keep(): Promise<void> {
    return Promise.resolve();
  }

  drop(): Promise<void> {
    return this.reset();
  }
}

export class FileSpool implements IndexSpool {
  readonly path: string;
  #file: FileHandle | undefined;
  #isKept = false;
  #offset = 0;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  /** @throws disk_full, access_denied */
  static async create(directory: string): Promise<FileSpool> {
    const path = join(directory, `spool-${process.pid}-${randomBytes(6).toString('hex')}.tmp`);
    try {
      await makeDirectory(directory);
      return new FileSpool(path, await open(path, 'wx'));
    } catch (error) {
      throw wrapSystemError(error, `write to ${directory}`);
    }
  }

  /** Of a file that is there and empty: how a worker writes the spool of another thread. */
  static async reopen(path: string): Promise<FileSpool> {
    const spool = new FileSpool(path, await open(path, 'r+'));
    spool.#isKept = true;
    return spool;
  }

  async append(chunks: readonly Buffer[]): Promise<void> {
    if (chunks.length === 0) return;
    try {
      const bytes = Buffer.concat(chunks);
      await this.#file!.write(bytes, 0, bytes.length, this.#offset);
      this.#offset += bytes.length;
    } catch (error) {
      throw wrapSystemError(error, `write ${this.path}`);
    }
  }

  async reset(): Promise<void> {
    await this.#file!.truncate(0);
    this.#offset = 0;
  }

  async source(): Promise<IndexSource> {
    return fileSource(await open(this.path, 'r'));
  }

  async keep(path: string): Promise<void> {
    try {
      await makeDirectory(dirname(path));
      await rename(this.path, path);
      this.#isKept = true;
    } catch (error) {
      throw wrapSystemError(error, `write ${path}`);
    }
  }

  async drop(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    if (!this.#isKept) await unlink(this.path).catch(() => undefined);
    this.#isKept = true;
  }
}
