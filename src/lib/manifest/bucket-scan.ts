// One listing of a namespace's `files/` against one version: which files are as the version says, which must be read,
// which are gone. Listing and version go by in step, in the same order, so that neither is held whole.
import { compareKeys } from '../objectstore/key.ts';
import type { ObjectListing, ObjectStore } from '../objectstore/object-store.ts';
import { fileKey, filesPrefix, isContentKey, publishedPathFault } from './key-layout.ts';
import type { PathPatterns } from './path-patterns.ts';
import type { FileEntry, PinnedVersion } from './types.ts';

const SKIPS_MAX = 1000;

/** A plain object whose bytes must be read. */
export interface ObjectToRead {
  readonly path: string;
  readonly object: ObjectListing;
  readonly isNew: boolean;
}

/** The directory of a shard's members: `train/000.tar` gives `train/000/`. */
export function membersPrefix(shardPath: string): string {
  return `${shardPath.slice(0, -'.tar'.length)}/`;
}

export function isTarPath(path: string): boolean {
  return path.endsWith('.tar') && path.length > '.tar'.length && !path.endsWith('/.tar');
}

/** An entry of `put` whose object has another ETag by now, to be read and compared (`--rebind`). */
export interface EntryToRebind {
  readonly entry: FileEntry;
  readonly object: ObjectListing;
}

export interface BucketScan {
  readonly toRead: readonly ObjectToRead[];
  readonly toRebind: readonly EntryToRebind[];
  /** Entries whose object is gone. */
  readonly gone: readonly FileEntry[];
  readonly carriedFiles: number;
  readonly carriedBytes: number;
  /** Paths that `put` published and where another object lies as well, which stays out of the manifest. */
  readonly shadowed: readonly string[];
  readonly shadowedCount: number;
  readonly skipped: readonly { readonly key: string; readonly reason: string }[];
  readonly skippedCount: number;
}

export interface ScanOptions {
  readonly ns: string;
  readonly patterns: PathPatterns;
  readonly rebind: boolean;
  /** Tar shards whose members are not in the version are to be read, though they are as they were. */
  readonly indexTar: boolean;
  readonly onListed?: ((objects: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

class Scan {
  readonly toRead: ObjectToRead[] = [];
  readonly toRebind: EntryToRebind[] = [];
  readonly gone: FileEntry[] = [];
  carriedFiles = 0;
  carriedBytes = 0;
  readonly shadowed: string[] = [];
  shadowedCount = 0;
  readonly skipped: { key: string; reason: string }[] = [];
  skippedCount = 0;
  /** Objects that entries of other paths may point to: content-addressed ones, and shards. */
  readonly targets = new Map<string, ObjectListing>();
  /** Judged when the listing is complete: content keys do not come in the order of their paths. */
  readonly pending: { entry: FileEntry; object: ObjectListing | undefined }[] = [];
  readonly carriedShards: { entry: FileEntry; object: ObjectListing }[] = [];
  readonly #options: ScanOptions;

  constructor(options: ScanOptions) {
    this.#options = options;
  }

  /** The path of the file that the object is by its name; undefined where it is none, or none that is asked for. */
  fileOf(object: ObjectListing): string | undefined {
    const { ns, patterns } = this.#options;
    const { key } = object;
    const path = key.slice(filesPrefix(ns).length);
    const isContent = isContentKey(key);
    if (isContent || isTarPath(path)) this.targets.set(key, object);
    if (isContent || patterns.match(path) === undefined) return undefined;
    const fault = publishedPathFault(path);
    if (!fault) return path;
    // S3 consoles make such markers of directories; they are no files of anybody's.
    if (!(path.endsWith('/') && object.sizeBytes === 0)) this.#skip(key, fault);
    return undefined;
  }

  /** `object` is the one at the key of the entry's path. */
  judge(entry: FileEntry, object: ObjectListing | undefined): void {
    const { ns, indexTar } = this.#options;
    const { key, etag } = entry.storage;
    if (key !== fileKey(ns, entry.path)) {
      this.pending.push({ entry, object });
    } else if (!object) {
      this.gone.push(entry);
    } else if (object.sizeBytes === entry.sizeBytes && etag !== undefined && object.etag === etag) {
      if (indexTar && isTarPath(entry.path)) this.carriedShards.push({ entry, object });
      else this.carry(entry);
    } else {
      this.toRead.push({ path: entry.path, object, isNew: false });
    }
  }

  carry(entry: FileEntry): void {
    this.carriedFiles += 1;
    this.carriedBytes += entry.sizeBytes;
  }

  shadow(path: string): void {
    this.shadowedCount += 1;
    if (this.shadowed.length < SKIPS_MAX) this.shadowed.push(path);
  }

  #skip(key: string, reason: string): void {
    this.skippedCount += 1;
    if (this.skipped.length < SKIPS_MAX) this.skipped.push({ key, reason });
  }
}

/** @throws interrupted, and what the store and the version throw */
export async function scanBucket(
  store: ObjectStore,
  base: PinnedVersion | undefined,
  options: ScanOptions,
): Promise<BucketScan> {
  const { patterns } = options;
  const scan = new Scan(options);
  const listedPrefix = filesPrefix(options.ns) + patterns.commonPrefix;
  const entries = (base?.list({ prefix: patterns.commonPrefix }) ?? none())[Symbol.asyncIterator]();
  const nextEntry = async (): Promise<FileEntry | undefined> => {
    for (;;) {
      const { value, done } = await entries.next();
      if (done) return undefined;
      if (patterns.match(value.path) !== undefined) return value;
    }
  };
  let entry = await nextEntry();
  let listed = 0;
  for await (const page of store.list({ prefix: listedPrefix, signal: options.signal })) {
    listed += page.length;
    options.onListed?.(listed);
    for (const object of page) {
      const path = scan.fileOf(object);
      if (path === undefined) continue;
      for (; entry && compareKeys(entry.path, path) < 0; entry = await nextEntry()) scan.judge(entry, undefined);
      if (entry?.path === path) {
        scan.judge(entry, object);
        entry = await nextEntry();
      } else {
        scan.toRead.push({ path, object, isNew: true });
      }
    }
  }
  for (; entry; entry = await nextEntry()) scan.judge(entry, undefined);
  for (const other of scan.pending) judgeOther(scan, { ...other, listedPrefix }, options);
  for (const { entry: shard, object } of scan.carriedShards) {
    if (await hasMembers(base!, shard)) scan.carry(shard);
    else scan.toRead.push({ path: shard.path, object, isNew: false });
  }
  if (base) await findLostMembers(scan, base);
  return scan;
}

async function hasMembers(base: PinnedVersion, shard: FileEntry): Promise<boolean> {
  for await (const entry of base.list({ prefix: membersPrefix(shard.path) })) {
    if (entry.storage.key === shard.storage.key) return true;
  }
  return false;
}

/** Members of a shard that is read anew point into the old one, also those that no pattern matches. */
async function findLostMembers(scan: Scan, base: PinnedVersion): Promise<void> {
  const known = new Set(scan.gone.map((entry) => entry.path));
  for (const { path, object, isNew } of scan.toRead) {
    if (isNew || !isTarPath(path)) continue;
    for await (const entry of base.list({ prefix: membersPrefix(path) })) {
      if (entry.storage.key === object.key && !known.has(entry.path)) scan.gone.push(entry);
    }
  }
}

async function* none(): AsyncIterable<FileEntry> {}

/** An entry that points to another object than the one of its path: content-addressed, packed, or a shard's member. */
function judgeOther(
  scan: Scan,
  found: {
    readonly entry: FileEntry;
    readonly object: ObjectListing | undefined;
    readonly listedPrefix: string;
  },
  options: ScanOptions,
): void {
  const { entry, object } = found;
  const target = scan.targets.get(entry.storage.key);
  const isUnseen = !entry.storage.key.startsWith(found.listedPrefix);
  if (object && options.patterns.isNamed(entry.path)) {
    scan.toRead.push({ path: entry.path, object, isNew: false });
  } else if (target && options.rebind && target.etag !== entry.storage.etag) {
    scan.toRebind.push({ entry, object: target });
  } else if (target && !isContentKey(target.key) && target.etag !== entry.storage.etag) {
    // A member of a shard that was overwritten: reading the shard again brings back what is in it now.
    scan.gone.push(entry);
  } else if (target || isUnseen) {
    scan.carry(entry);
    if (object) scan.shadow(entry.path);
  } else if (object) {
    scan.toRead.push({ path: entry.path, object, isNew: false });
  } else {
    scan.gone.push(entry);
  }
}
