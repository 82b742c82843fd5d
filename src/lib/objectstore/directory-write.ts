// How objects get into the directory store and out of it: a temporary file, then link(2) for what must not exist yet, or
// a rename under the store's lock for what is replaced, so that conditions hold between processes. A key whose plain
// place is taken (a file where a directory is needed, or the other way round) goes to its escaped place.
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { SeekfsError, systemErrorCode, throwIfAborted } from '../base/errors.ts';
import { Semaphore } from '../base/semaphore.ts';
import { modifiedAtMs, type Disk, type DiskFile, type DiskStat } from '../disk/disk.ts';
import { statIfThere } from '../disk/if-there.ts';
import { LockFile, type HeldLock } from '../disk/lock-file.ts';
import { etagOf } from './directory-etag.ts';
import { ESCAPED_TREE, PRIVATE_DIRECTORY, placesOf, type Place } from './directory-layout.ts';
import type { PutRequest } from './object-store.ts';
import { objectNotFound, preconditionFailed, readSource, sourceSizeBytes } from './source.ts';

const LOCK_WAIT_MS_MAX = 30_000;
const LEFTOVER_AGE_MS = 86_400_000;
/** Directories may be pruned between making and using them, and places may be taken: each time the put looks again. */
const PLACE_ATTEMPTS_MAX = 100;
const SYNC_ONE_BY_ONE_MAX = 16;
const DURABLE_NAMES_MAX = 10_000;
/** What link(2) says on file systems without hard links. */
const NO_HARD_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

export interface LocatedFile {
  readonly place: Place;
  readonly path: string;
  readonly stat: DiskStat;
}

export interface DirectoryWriterOptions {
  readonly rootPath: string;
  readonly disk: Disk;
  readonly clock: Clock;
  /** The file that is the key's object now. */
  readonly locate: (key: string) => Promise<LocatedFile | undefined>;
}

export class DirectoryWriter {
  readonly #rootPath: string;
  readonly #temporaryPath: string;
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #locate: DirectoryWriterOptions['locate'];
  readonly #lock: LockFile;
  /** Callers of this process wait in order here instead of polling the lock file against each other. */
  readonly #turn = new Semaphore(1);
  #prepared: Promise<void> | undefined;
  /** Directories whose names this process has made durable, with their inodes. */
  readonly #durableNames = new Map<string, bigint>();

  constructor(options: DirectoryWriterOptions) {
    this.#rootPath = options.rootPath;
    this.#disk = options.disk;
    this.#clock = options.clock;
    this.#locate = options.locate;
    this.#temporaryPath = join(options.rootPath, PRIVATE_DIRECTORY, 'tmp');
    const directory = join(options.rootPath, PRIVATE_DIRECTORY, 'lock');
    this.#lock = new LockFile({ disk: options.disk, directory, clock: options.clock });
  }

  async put(request: PutRequest): Promise<{ etag: string }> {
    this.#checkCondition(request, await this.#locate(request.key));
    await this.#prepareOnce();
    const temporary = join(this.#temporaryPath, `${process.pid}-${randomBytes(8).toString('hex')}`);
    const file = await this.#createTemporary(temporary);
    try {
      await fill(file, request);
      if (request.durable) await file.sync();
      const place = await this.#place(temporary, request);
      if (request.durable) await this.#syncUpwards(place);
      // The temporary name is gone by now: this is the ctime, and so the ETag, that stays.
      return { etag: etagOf(await file.stat()) };
    } finally {
      await file.close();
      await this.#disk.remove(temporary).catch(() => undefined);
    }
  }

  /** One by one where they are few; beyond, one sync of the file system costs less than thousands of files. */
  async makeDurable(keys: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    if (keys.length > SYNC_ONE_BY_ONE_MAX && (await this.#disk.syncFileSystem?.(this.#rootPath))) return;
    for (const key of keys) {
      throwIfAborted(signal);
      const located = await this.#locate(key);
      if (!located) throw objectNotFound(key, `file://${this.#rootPath}`);
      const file = await this.#disk.open(located.path, 'read');
      try {
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#syncUpwards(located.place);
    }
  }

  async delete(keys: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    if (!(await statIfThere(this.#disk, this.#rootPath))) return;
    await this.#underLock(signal, async () => {
      for (const key of keys) {
        throwIfAborted(signal);
        for (let found = await this.#locate(key); found; found = await this.#locate(key)) {
          await this.#disk.remove(found.path);
          await this.#prune(found.place.slice(0, -1));
        }
      }
    });
  }

  #prepareOnce(): Promise<void> {
    this.#prepared ??= this.#prepare().catch((error: unknown) => {
      this.#prepared = undefined;
      throw error;
    });
    return this.#prepared;
  }

  async #prepare(): Promise<void> {
    const own = join(this.#rootPath, PRIVATE_DIRECTORY);
    const kind = (await statIfThere(this.#disk, own))?.kind ?? 'directory';
    if (kind !== 'directory')
      throw new SeekfsError('usage', `${own} is a ${kind}; the store needs a directory of its own there`);
    await this.#disk.makeDirectory(this.#temporaryPath);
    for (const name of await this.#disk.list(this.#temporaryPath)) {
      const path = join(this.#temporaryPath, name);
      const stat = await statIfThere(this.#disk, path);
      // Unlinking the second name of a file that became an object would change the object's ETag.
      if (stat?.kind !== 'file' || stat.links > 1) continue;
      const ageMs = this.#clock.nowMs() - modifiedAtMs(stat);
      if (ageMs > LEFTOVER_AGE_MS) await this.#disk.remove(path).catch(() => undefined);
    }
  }

  async #createTemporary(path: string): Promise<DiskFile> {
    try {
      return await this.#disk.open(path, 'create');
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
      await this.#disk.makeDirectory(this.#temporaryPath);
      return this.#disk.open(path, 'create');
    }
  }

  #checkCondition(request: PutRequest, current: LocatedFile | undefined): void {
    const { key, condition } = request;
    if (condition.kind === 'absent' && current) throw preconditionFailed(key, 'absent');
    if (condition.kind !== 'match') return;
    if (!current || etagOf(current.stat) !== condition.etag) throw preconditionFailed(key, 'match');
  }

  async #place(temporary: string, request: PutRequest): Promise<Place> {
    const { key, signal } = request;
    for (let attempt = 1; attempt <= PLACE_ATTEMPTS_MAX; attempt += 1) {
      throwIfAborted(signal);
      const current = await this.#locate(key);
      this.#checkCondition(request, current);
      const place = current ? await this.#replace(temporary, request) : await this.#create(temporary, key, signal);
      if (place) return place;
    }
    throw new SeekfsError(
      'store_unavailable',
      `object "${key}" was not written: its directory changed ${PLACE_ATTEMPTS_MAX} times; try again`,
    );
  }

  /** Undefined when the object is gone again, or another process took the lock over: the caller looks anew. */
  #replace(temporary: string, request: PutRequest): Promise<Place | undefined> {
    return this.#underLock(request.signal, async (held) => {
      const current = await this.#locate(request.key);
      this.#checkCondition(request, current);
      if (!current || !(await held.stillHeld())) return undefined;
      await this.#disk.rename(temporary, current.path);
      return current.place;
    });
  }

  /** Undefined when another put was first, or a directory was pruned meanwhile: the caller looks anew. */
  async #create(temporary: string, key: string, signal: AbortSignal | undefined): Promise<Place | undefined> {
    for (const place of placesOf(key)) {
      if (!(await this.#makeParents(place))) continue;
      const path = join(this.#rootPath, ...place);
      try {
        await this.#disk.link(temporary, path);
        await this.#disk.remove(temporary);
        return place;
      } catch (error) {
        const errno = systemErrorCode(error) ?? '';
        if (errno === 'ENOENT') return undefined;
        if (errno !== 'EEXIST' && !NO_HARD_LINKS.has(errno)) throw error;
        const taken = await statIfThere(this.#disk, path);
        if (taken?.kind === 'file') return undefined;
        if (!taken && errno !== 'EEXIST') return this.#createByRename(temporary, key, place, signal);
      }
    }
    throw new SeekfsError('usage', `object "${key}" was not written: something that is no file is in its place`);
  }

  #createByRename(
    temporary: string,
    key: string,
    place: Place,
    signal: AbortSignal | undefined,
  ): Promise<Place | undefined> {
    return this.#underLock(signal, async (held) => {
      if ((await this.#locate(key)) || !(await held.stillHeld())) return undefined;
      await this.#disk.rename(temporary, join(this.#rootPath, ...place));
      return place;
    });
  }

  /** One by one: a recursive mkdir would follow a symbolic link out of the root. False when something is in the way. */
  async #makeParents(place: Place): Promise<boolean> {
    for (let depth = 1; depth < place.length; depth += 1) {
      const path = join(this.#rootPath, ...place.slice(0, depth));
      const stat = await statIfThere(this.#disk, path);
      if (stat?.kind === 'directory') continue;
      if (stat) return false;
      try {
        await this.#disk.makeDirectory(path);
      } catch (error) {
        const errno = systemErrorCode(error);
        if (errno === 'EEXIST' || errno === 'ENOTDIR') return false;
        throw error;
      }
    }
    return true;
  }

  /**
   * Of the directories down to the object those that have a new name in them: the last one, and any whose child this
   * process has not seen durable yet. A child that was removed and made anew has another inode.
   */
  async #syncUpwards(place: Place): Promise<void> {
    const paths = place.map((_, depth) => join(this.#rootPath, ...place.slice(0, depth)));
    const inodes = await Promise.all(paths.map(async (path) => (await statIfThere(this.#disk, path))?.inode));
    const isKnown = (depth: number): boolean =>
      inodes[depth] !== undefined && this.#durableNames.get(paths[depth]!) === inodes[depth];
    const wanted = paths.filter((_, depth) => depth === paths.length - 1 || !isKnown(depth + 1));
    await Promise.all(wanted.map((path) => this.#disk.syncDirectory(path)));
    // Only the first put makes the root; later its parent may be none of ours to open.
    if (!isKnown(0)) await this.#disk.syncDirectory(dirname(this.#rootPath)).catch(() => undefined);
    if (this.#durableNames.size > DURABLE_NAMES_MAX) this.#durableNames.clear();
    for (const [depth, path] of paths.entries()) {
      const inode = inodes[depth];
      if (inode !== undefined) this.#durableNames.set(path, inode);
    }
  }

  /** Removes directories that became empty, so that they are in nobody's way. */
  async #prune(directory: Place): Promise<void> {
    const kept = directory[0] === PRIVATE_DIRECTORY ? ESCAPED_TREE.length : 0;
    for (let depth = directory.length; depth > kept; depth -= 1) {
      try {
        await this.#disk.removeDirectory(join(this.#rootPath, ...directory.slice(0, depth)));
      } catch {
        return;
      }
    }
  }

  async #underLock<T>(signal: AbortSignal | undefined, work: (held: HeldLock) => Promise<T>): Promise<T> {
    const done = await this.#turn.acquire({ signal });
    try {
      const held = await this.#lock.acquire({ waitMsMax: LOCK_WAIT_MS_MAX, signal });
      try {
        return await work(held);
      } finally {
        await held.release();
      }
    } finally {
      done();
    }
  }
}

async function fill(file: DiskFile, request: PutRequest): Promise<void> {
  const { key, source, signal, onProgress } = request;
  let position = 0;
  for await (const chunk of readSource(source, { off: 0, len: sourceSizeBytes(source) }, { key, signal })) {
    await file.write([chunk], position);
    position += chunk.byteLength;
    onProgress?.(position);
  }
}
