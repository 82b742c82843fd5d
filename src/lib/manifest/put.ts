// `put`: local files and trees into content-addressed objects, many at once, and one new version for the whole call.
// Nothing is read back: checksums are computed as the bytes go by.
import { eachAtOnce } from '../base/each-at-once.ts';
import { SeekfsError } from '../base/errors.ts';
import { Semaphore } from '../base/semaphore.ts';
import { MIB } from '../base/units.ts';
import { modifiedAtMs, type Disk } from '../disk/disk.ts';
import { ChecksumPool } from './checksum-pool.ts';
import { checkPageSize } from './checksums.ts';
import { putContent } from './content-object.ts';
import { hexOf } from './digest.ts';
import { findFile } from './find-file.ts';
import { openIntent, type Lease } from './intents.ts';
import { checkNamespace, checkPath, contentKey } from './key-layout.ts';
import { checkPackOptions, packedBytes, packShard, type PackOptions } from './pack.ts';
import { EntryList } from './entry-list.ts';
import { hashSource, ONE_READ_BYTES_MAX } from './local-source.ts';
import { refusalError, walkSources, type LocalFile, type LocalRefusal } from './local-tree.ts';
import { newEntry } from './new-entry.ts';
import { pinCurrent } from './pinned.ts';
import { ReadBuffers } from './read-buffers.ts';
import { publish, refuseUnsafeStore, type PublishDeps, type PublishReport } from './publisher.ts';
import type { FileEntry, PinnedVersion } from './types.ts';
import { UploadJournals } from './upload-journal.ts';

/** Files at once; and bytes of files held in memory at once. */
const FILES_AT_ONCE = 16;
const BYTES_AT_ONCE = 192 * MIB;
const SKIPS_MAX = 1000;
const REFUSALS_MAX = 20;

export interface PutDeps extends PublishDeps {
  readonly disk: Disk;
}

export interface PutProgress {
  /** Both grow while the tree is walked. */
  readonly filesFound: number;
  readonly bytesFound: number;
  readonly filesDone: number;
  /** In the store, reused ones included. */
  readonly bytesDone: number;
}

export interface PutOptions {
  readonly ns: string;
  readonly sources: readonly string[];
  /** All paths go under it; '' for none. */
  readonly prefix?: string | undefined;
  readonly pageSizeBytes: number;
  /** Small files go into tar shards, many in one object; undefined: each is an object of its own. */
  readonly pack?: PackOptions | undefined;
  /** Directory for what an interrupted upload of a large file has sent; undefined: it begins again. */
  readonly journalPath?: string | undefined;
  /** Default true. */
  readonly publish?: boolean | undefined;
  readonly onProgress?: ((progress: PutProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SkippedSource {
  readonly sourcePath: string;
  readonly reason: string;
}

export interface PutReport {
  readonly files: number;
  readonly bytes: number;
  readonly uploadedFiles: number;
  readonly uploadedBytes: number;
  /** Of objects that were in the store already. */
  readonly reusedFiles: number;
  readonly reusedBytes: number;
  /** Of the files, those that lie in shards, and in how many. */
  readonly packedFiles: number;
  readonly shards: number;
  /** At most 1,000 of them. */
  readonly skipped: readonly SkippedSource[];
  readonly skippedCount: number;
  /** Undefined where it was not asked for. */
  readonly publish: PublishReport | undefined;
}

/**
 * Uploads the sources and publishes them.
 * @throws usage, file_not_found, source_changed, unsafe_store, version_conflict, disk_full, and what the store throws
 */
export async function put(deps: PutDeps, options: PutOptions): Promise<PutReport> {
  checkNamespace(options.ns);
  checkPageSize(options.pageSizeBytes);
  const prefix = (options.prefix ?? '').replace(/\/+$/, '');
  if (prefix !== '') checkPath(prefix);
  if (options.pack) checkPackOptions(options.pack);
  await refuseUnsafeStore(deps, options.ns, options.signal);
  const intent = await openIntent(deps, options.ns, options.signal);
  const pool = await ChecksumPool.open();
  try {
    const base = await pinCurrent(deps, options.ns, { signal: options.signal });
    const journals =
      options.journalPath === undefined ? undefined : await UploadJournals.open(deps, options.journalPath, options.ns);
    const run = new PutRun(deps, { ...options, prefix }, { pool, base, journals });
    await run.uploadAll();
    await run.makeDurable();
    return await run.publish(intent);
  } finally {
    await pool.close();
    await intent.close();
  }
}

class PutRun {
  readonly #deps: PutDeps;
  readonly #options: PutOptions & { readonly prefix: string };
  readonly #pool: ChecksumPool;
  /** The current version, to ask for objects that it names before sending them again. */
  readonly #base: PinnedVersion | undefined;
  readonly #journals: UploadJournals | undefined;
  readonly #memory = new Semaphore(BYTES_AT_ONCE);
  readonly #buffers = new ReadBuffers();
  readonly #entries: EntryList;
  readonly #keys = new Set<string>();
  readonly #seen = new Set<string>();
  /** The last object was there already: the next is likely to be, so it is asked for before its bytes are sent. */
  #isResuming = false;
  readonly #skipped: SkippedSource[] = [];
  readonly #counts = { filesFound: 0, bytesFound: 0, filesDone: 0, bytesDone: 0 };
  readonly #sums = {
    uploadedFiles: 0,
    uploadedBytes: 0,
    reusedFiles: 0,
    reusedBytes: 0,
    skippedCount: 0,
    packedFiles: 0,
    shards: 0,
  };

  constructor(
    deps: PutDeps,
    options: PutOptions & { readonly prefix: string },
    parts: {
      readonly pool: ChecksumPool;
      readonly base: PinnedVersion | undefined;
      readonly journals: UploadJournals | undefined;
    },
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#pool = parts.pool;
    this.#base = parts.base;
    this.#journals = parts.journals;
    this.#entries = new EntryList(options.ns);
  }

  async uploadAll(): Promise<void> {
    await eachAtOnce(
      this.#grouped(),
      FILES_AT_ONCE,
      (group, signal) => (group.length === 1 ? this.#upload(group[0]!, signal) : this.#uploadShard(group, signal)),
      this.#options.signal,
    );
  }

  /** Files by the objects they become: one each, or those of a shard, in the order in which they are found. */
  async *#grouped(): AsyncGenerator<readonly LocalFile[]> {
    const limits = this.#options.pack && checkPackOptions(this.#options.pack);
    let shard: LocalFile[] = [];
    let shardBytes = 0;
    for await (const file of this.#found()) {
      if (!limits || file.stat.sizeBytes >= limits.belowBytes) {
        yield [file];
        continue;
      }
      const bytes = packedBytes(file);
      if (shard.length > 0 && shardBytes + bytes > limits.shardBytes) {
        yield shard;
        shard = [];
        shardBytes = 0;
      }
      shard.push(file);
      shardBytes += bytes;
    }
    if (shard.length > 0) yield shard;
  }

  async *#found(): AsyncGenerator<LocalFile> {
    const { ns, sources, prefix } = this.#options;
    const refusals: LocalRefusal[] = [];
    for await (const found of walkSources(this.#deps.disk, { ns, sources, prefix })) {
      if (found.kind === 'skip') {
        this.#sums.skippedCount += 1;
        if (this.#skipped.length < SKIPS_MAX) {
          this.#skipped.push({ sourcePath: found.sourcePath, reason: found.reason });
        }
        continue;
      }
      if (found.kind === 'refusal') refusals.push(found);
      if (refusals.length === REFUSALS_MAX) break;
      // Nothing will be published: what else is there is only looked at.
      if (found.kind === 'refusal' || refusals.length > 0) continue;
      if (this.#seen.has(found.path)) {
        throw new SeekfsError('usage', `two sources have the path ${JSON.stringify(found.path)}; use --prefix for one`);
      }
      this.#seen.add(found.path);
      this.#counts.filesFound += 1;
      this.#counts.bytesFound += found.stat.sizeBytes;
      yield found;
    }
    if (refusals.length > 0) throw refusalError(refusals, refusals.length === REFUSALS_MAX);
  }

  async #upload(file: LocalFile, signal: AbortSignal): Promise<void> {
    const { sizeBytes } = file.stat;
    const isLarge = sizeBytes > ONE_READ_BYTES_MAX;
    const releaseMemory = await this.#memory.acquire({ permits: isLarge ? 4 * MIB : Math.max(1, sizeBytes), signal });
    try {
      const { pageSizeBytes, ns } = this.#options;
      const deps = { disk: this.#deps.disk, pool: this.#pool, buffers: this.#buffers };
      const { checksums, source, release } = await hashSource(deps, file, { pageSizeBytes, signal });
      const key = contentKey(ns, file.path, hexOf(checksums.hash));
      const journal = await this.#journals?.openFile(file, key, { isLarge, signal });
      let sentBytes = 0;
      const object = await putContent(this.#deps.store, {
        key,
        source,
        uploads: journal,
        headFirst: isLarge || this.#isResuming || (await this.#isKnown(file.path, key)),
        onProgress: (bytes) => {
          this.#counts.bytesDone += bytes - sentBytes;
          sentBytes = bytes;
          this.#report();
        },
        signal,
      });
      // Somebody else put it meanwhile, or this put died behind its last part.
      if (object.isReused) await journal?.drop(signal);
      // What the store refused before it had all of it may still be on its way out.
      if (!object.isReused) release();
      this.#counts.bytesDone += sizeBytes - sentBytes;
      this.#counts.filesDone += 1;
      this.#isResuming = object.isReused;
      const kind = object.isReused ? 'reused' : 'uploaded';
      this.#sums[`${kind}Files`] += 1;
      this.#sums[`${kind}Bytes`] += sizeBytes;
      const place = { key, etag: object.etag, off: 0 };
      const { path } = file;
      this.#add(newEntry({ path, modifiedAtMs: modifiedAtMs(file.stat), ...place }, checksums));
      this.#report();
    } finally {
      releaseMemory();
    }
  }

  async #uploadShard(files: readonly LocalFile[], signal: AbortSignal): Promise<void> {
    const bytes = files.reduce((sum, file) => sum + file.stat.sizeBytes, 0);
    // The files' bytes, and the shard that they are copied into.
    const releaseMemory = await this.#memory.acquire({ permits: Math.max(1, 2 * bytes), signal });
    try {
      const { ns, pageSizeBytes } = this.#options;
      const { disk, store } = this.#deps;
      const deps = { disk, store, pool: this.#pool };
      const shard = await packShard(deps, files, { ns, pageSizeBytes, onProgress: () => this.#report(), signal });
      for (const entry of shard.entries) this.#add(entry);
      this.#counts.bytesDone += bytes;
      this.#counts.filesDone += files.length;
      const kind = shard.object.isReused ? 'reused' : 'uploaded';
      this.#sums[`${kind}Files`] += files.length;
      this.#sums[`${kind}Bytes`] += bytes;
      this.#sums.packedFiles += files.length;
      this.#sums.shards += 1;
      this.#report();
    } finally {
      releaseMemory();
    }
  }

  #add(entry: FileEntry): void {
    this.#entries.add(entry);
    if (this.#deps.store.makeDurable) this.#keys.add(entry.storage.key);
  }

  async #isKnown(path: string, key: string): Promise<boolean> {
    const known = this.#base && (await findFile(this.#base, path));
    return known?.storage.key === key;
  }

  #report(): void {
    this.#options.onProgress?.({ ...this.#counts });
  }

  /** Every object that a version names is durable before its manifest is; reused ones may be of a put that died. */
  async makeDurable(): Promise<void> {
    await this.#deps.store.makeDurable?.({ keys: [...this.#keys], signal: this.#options.signal });
  }

  async publish(intent: Lease): Promise<PutReport> {
    await this.#base?.close();
    if (this.#entries.length === 0) {
      throw new SeekfsError(
        'usage',
        `there is no regular file in ${this.#options.sources.join(', ')}; nothing was put`,
      );
    }
    const published =
      this.#options.publish === false
        ? undefined
        : await publish(this.#deps, {
            ns: this.#options.ns,
            plan: () => ({ upserts: this.#entries, removals: [] }),
            intent,
            signal: this.#options.signal,
          });
    return {
      files: this.#counts.filesDone,
      bytes: this.#counts.bytesDone,
      ...this.#sums,
      skipped: this.#skipped,
      publish: published,
    };
  }
}
