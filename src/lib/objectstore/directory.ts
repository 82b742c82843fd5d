// The `directory` engine (file://, the embedded default): a plain directory with S3 semantics. Reading side and
// composition; where objects lie is directory-layout.ts, how they get there directory-write.ts.
//
// Nothing is followed out of the root: symbolic links are no objects, and no directory of a key's path may be one.
import { join } from 'node:path';
import { rangeEnd, type ByteRange } from '../base/byte-range.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { SeekfsError, isSeekfsError, systemErrorCode, throwIfAborted, wrapSystemError } from '../base/errors.ts';
import { KIB, MIB } from '../base/units.ts';
import { modifiedAtMs, type Disk, type DiskFile, type DiskStat } from '../disk/disk.ts';
import { statIfThere } from '../disk/if-there.ts';
import { nodeDisk } from '../disk/node-disk.ts';
import { probeConditionalWrites } from './conditional-probe.ts';
import { etagOf, isSettling, sameBytes } from './directory-etag.ts';
import {
  ESCAPED_TREE,
  PRIVATE_DIRECTORY,
  fromByteString,
  parseEscapedName,
  parsePlainName,
  placesOf,
  prefersEscaped,
  toByteString,
  type Place,
} from './directory-layout.ts';
import { mergeOrdered, walkTree, type FoundFile } from './directory-walk.ts';
import { DirectoryWriter, type LocatedFile } from './directory-write.ts';
import { checkKey } from './key.ts';
import type {
  ConditionalWrites,
  GetRangeRequest,
  GetWholeRequest,
  ListRequest,
  ObjectHead,
  ObjectListing,
  ObjectStore,
  PutRequest,
  RangeSink,
  WholeObject,
} from './object-store.ts';
import { checkRange, checkRangeWithin, objectChanged, objectNotFound, tooLarge } from './source.ts';

const READ_BYTES = 256 * KIB;
/** Of a sink that takes them itself: how much is read before the signal is looked at again. */
const TAKE_BYTES = 4 * MIB;
const IDLE_BUFFERS_MAX = 16;
const LIST_PAGE_LENGTH = 1000;
const SETTLING_DELAY_MS = 2;
/** How often a read begins again when a put replaced the object while it was opened. */
const OPEN_ATTEMPTS_MAX = 5;
const WHOLE_ATTEMPTS_MAX = 5;

interface OpenedFile {
  readonly file: DiskFile;
  readonly stat: DiskStat;
}

export interface DirectoryStoreOptions {
  /** Absolute; made by the first put. */
  readonly rootPath: string;
  readonly disk?: Disk | undefined;
  readonly clock?: Clock | undefined;
}

export class DirectoryObjectStore implements ObjectStore {
  readonly url: string;
  readonly #rootPath: string;
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #writer: DirectoryWriter;
  readonly #idleBuffers: Buffer[] = [];
  #probed: Promise<ConditionalWrites> | undefined;

  constructor(options: DirectoryStoreOptions) {
    this.#rootPath = options.rootPath;
    this.#disk = options.disk ?? nodeDisk;
    this.#clock = options.clock ?? systemClock;
    this.url = `file://${options.rootPath}`;
    this.#writer = new DirectoryWriter({
      rootPath: this.#rootPath,
      disk: this.#disk,
      clock: this.#clock,
      locate: (key) => this.#locate(key),
    });
  }

  async head(request: { key: string; signal?: AbortSignal | undefined }): Promise<ObjectHead> {
    const { key, signal } = request;
    checkKey(key);
    throwIfAborted(signal);
    try {
      return headOf(key, (await this.#locateOrThrow(key)).stat);
    } catch (error) {
      throw wrapSystemError(error, `read object "${key}" in ${this.url}`);
    }
  }

  async getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    const { key, range, ifMatch, signal } = request;
    checkKey(key);
    checkRange(key, range);
    throwIfAborted(signal);
    try {
      const { file, stat } = await this.#open(key);
      try {
        if (ifMatch !== undefined && ifMatch !== etagOf(stat)) throw objectChanged(key, ifMatch, etagOf(stat));
        checkRangeWithin(key, range, stat.sizeBytes);
        request.onHead?.(headOf(key, stat));
        const isWhole = await (sink.take && file.fd !== undefined
          ? lend(file.fd, range, sink.take, signal)
          : this.#copy(file, range, sink, signal));
        if (!isWhole) throw objectChanged(key, etagOf(stat));
        const after = await file.stat();
        if (!sameBytes(stat, after)) throw objectChanged(key, etagOf(stat), etagOf(after));
      } finally {
        await file.close();
      }
      return headOf(key, stat);
    } catch (error) {
      throw wrapSystemError(error, `read object "${key}" in ${this.url}`);
    }
  }

  /** False where the file ends before the range does. */
  async #copy(file: DiskFile, range: ByteRange, sink: RangeSink, signal: AbortSignal | undefined): Promise<boolean> {
    const buffer = this.#idleBuffers.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES);
    try {
      for (let off = range.off; off < rangeEnd(range);) {
        throwIfAborted(signal);
        const chunk = buffer.subarray(0, Math.min(READ_BYTES, rangeEnd(range) - off));
        if ((await file.read([chunk], off)) < chunk.length) return false;
        off += chunk.length;
        await sink.write(chunk);
      }
      return true;
    } finally {
      if (this.#idleBuffers.length < IDLE_BUFFERS_MAX) this.#idleBuffers.push(buffer);
    }
  }

  async getWhole(request: GetWholeRequest): Promise<WholeObject> {
    const { key, sizeBytesMax, purpose, signal } = request;
    for (let attempt = 1; ; attempt += 1) {
      const { sizeBytes, etag, modifiedAtMs: ms } = await this.head({ key, signal });
      if (sizeBytes > sizeBytesMax) throw tooLarge(key, sizeBytes, sizeBytesMax);
      if (sizeBytes === 0) return { key, sizeBytes, etag, modifiedAtMs: ms, bytes: Buffer.alloc(0) };
      const bytes = Buffer.alloc(sizeBytes);
      let filled = 0;
      const sink: RangeSink = {
        write: (chunk) => {
          bytes.set(chunk, filled);
          filled += chunk.length;
        },
      };
      try {
        const head = await this.getRange(
          { key, range: { off: 0, len: sizeBytes }, ifMatch: etag, purpose, signal },
          sink,
        );
        return { ...head, bytes };
      } catch (error) {
        const replaced = isSeekfsError(error, 'object_changed') || isSeekfsError(error, 'range_not_satisfiable');
        if (!replaced || attempt === WHOLE_ATTEMPTS_MAX) throw error;
      }
    }
  }

  async put(request: PutRequest): Promise<{ etag: string }> {
    checkKey(request.key);
    throwIfAborted(request.signal);
    try {
      return await this.#writer.put(request);
    } catch (error) {
      throw wrapSystemError(error, `write object "${request.key}" in ${this.url}`);
    }
  }

  async makeDurable(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void> {
    try {
      await this.#writer.makeDurable(request.keys, request.signal);
    } catch (error) {
      throw wrapSystemError(error, `make objects durable in ${this.url}`);
    }
  }

  async *list(request: ListRequest): AsyncGenerator<readonly ObjectListing[]> {
    let page: ObjectListing[] = [];
    try {
      await this.#checkRoot();
      for await (const found of this.#walk(request)) {
        const stat = isSettling(found.stat, this.#clock.nowMs()) ? await this.#settledStat(found.path) : found.stat;
        if (stat?.kind !== 'file') continue;
        page.push(headOf(fromByteString(found.key), stat));
        if (page.length < LIST_PAGE_LENGTH) continue;
        yield page;
        page = [];
      }
    } catch (error) {
      throw wrapSystemError(error, `list objects in ${this.url}`);
    }
    if (page.length > 0) yield page;
  }

  async delete(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void> {
    for (const key of request.keys) checkKey(key);
    throwIfAborted(request.signal);
    try {
      await this.#writer.delete(request.keys, request.signal);
    } catch (error) {
      throw wrapSystemError(error, `delete objects in ${this.url}`);
    }
  }

  presign(request: { key: string }): Promise<string> {
    return Promise.reject(
      new SeekfsError('usage', `"${request.key}" has no URL: ${this.url} is a directory; presign needs an S3 store`),
    );
  }

  probeConditionalWrites(request: { prefix: string; signal?: AbortSignal | undefined }): Promise<ConditionalWrites> {
    this.#probed ??= probeConditionalWrites(this, request).catch((error: unknown) => {
      this.#probed = undefined;
      throw error;
    });
    return this.#probed;
  }

  close(): Promise<void> {
    this.#idleBuffers.length = 0;
    return Promise.resolve();
  }

  #walk(request: ListRequest): AsyncGenerator<FoundFile> {
    const common = {
      disk: this.#disk,
      prefix: toByteString(request.prefix),
      startAfter: request.startAfter === undefined ? undefined : toByteString(request.startAfter),
      signal: request.signal,
    };
    const parseTopName = (name: string, depth: number): ReturnType<typeof parseEscapedName> =>
      depth === 0 && name === PRIVATE_DIRECTORY ? undefined : parsePlainName(name);
    return mergeOrdered(
      walkTree({ ...common, parseName: parseTopName }, { head: '', path: this.#rootPath }),
      walkTree({ ...common, parseName: parseEscapedName }, { head: '', path: join(this.#rootPath, ...ESCAPED_TREE) }),
      (key) => !prefersEscaped(fromByteString(key)),
    );
  }

  async #settledStat(path: string): Promise<DiskStat | undefined> {
    let stat = await statIfThere(this.#disk, path);
    while (stat && isSettling(stat, this.#clock.nowMs())) {
      await this.#clock.sleep(SETTLING_DELAY_MS);
      stat = await statIfThere(this.#disk, path);
    }
    return stat;
  }

  /** Is every directory on the way to the place a real one? */
  async #isReached(place: Place): Promise<boolean> {
    const parents = place.slice(0, -1).map((_, index) => join(this.#rootPath, ...place.slice(0, index + 1)));
    const stats = await Promise.all(parents.map((path) => statIfThere(this.#disk, path)));
    return stats.every((stat) => stat?.kind === 'directory');
  }

  async #locate(key: string): Promise<LocatedFile | undefined> {
    for (const place of placesOf(key)) {
      const path = join(this.#rootPath, ...place);
      const stat = await this.#settledStat(path);
      if (stat?.kind === 'file' && (await this.#isReached(place))) return { place, path, stat };
    }
    return undefined;
  }

  async #locateOrThrow(key: string): Promise<LocatedFile> {
    const located = await this.#locate(key);
    if (located) return located;
    if (await this.#rootExists()) throw objectNotFound(key, this.url);
    throw new SeekfsError(
      'object_not_found',
      `no object "${key}": the store's directory ${this.#rootPath} does not exist`,
      {
        details: { key },
      },
    );
  }

  async #open(key: string): Promise<OpenedFile> {
    for (let attempt = 1; attempt <= OPEN_ATTEMPTS_MAX; attempt += 1) {
      const located = await this.#locateOrThrow(key);
      let file: DiskFile;
      try {
        file = await this.#disk.open(located.path, 'read');
      } catch (error) {
        if (systemErrorCode(error) === 'ENOENT') continue;
        throw error;
      }
      try {
        const stat = await file.stat();
        if (stat.inode === located.stat.inode && etagOf(stat) === etagOf(located.stat)) return { file, stat };
      } catch (error) {
        await file.close();
        throw error;
      }
      await file.close();
    }
    throw new SeekfsError('object_changed', `object "${key}" in ${this.url} changes faster than it can be opened`);
  }

  async #rootExists(): Promise<boolean> {
    // The root itself may be reached through a symbolic link: listing follows it, and Disk.stat does not.
    return (await statIfThere(this.#disk, this.#rootPath)) !== undefined;
  }

  async #checkRoot(): Promise<void> {
    if (await this.#rootExists()) return;
    throw new SeekfsError(
      'bucket_not_found',
      `the store's directory ${this.#rootPath} does not exist; the first put makes it`,
    );
  }
}

/** False where the file ends before the range does. */
async function lend(
  fd: number,
  range: ByteRange,
  take: NonNullable<RangeSink['take']>,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  for (let off = range.off; off < rangeEnd(range);) {
    throwIfAborted(signal);
    const len = Math.min(TAKE_BYTES, rangeEnd(range) - off);
    if ((await take({ fd, off, len })) < len) return false;
    off += len;
  }
  return true;
}

function headOf(key: string, stat: DiskStat): ObjectHead {
  return { key, sizeBytes: stat.sizeBytes, etag: etagOf(stat), modifiedAtMs: modifiedAtMs(stat) };
}
