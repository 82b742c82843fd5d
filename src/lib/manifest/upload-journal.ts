// What an interrupted `put` has sent of its large files: one small file a source under way, in the cache directory, so that
// the next put of it sends only the missing parts. Which bytes they are says the object's key, which ends in their SHA-256.
import { createHash } from 'node:crypto';
import { appendFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Logger } from '../base/log.ts';
import { makeDirectory } from '../disk/make-directory.ts';
import type { ObjectStore, Upload, UploadMemory } from '../objectstore/object-store.ts';
import { encodeLine, parseLine, readLines } from './journal-lines.ts';

const PREFIX = 'put-';

/** A line: an upload that was begun, or one part of it. Parts of another upload count nothing. */
type Line =
  | { readonly upload: string; readonly key: string; readonly part_bytes: number }
  | { readonly upload: string; readonly part: number; readonly etag: string };

interface Left {
  readonly key: string;
  readonly upload: Upload;
  readonly etags: Map<number, string>;
}

interface JournalDeps {
  readonly store: ObjectStore;
  readonly log: Logger;
}

/** The journals of one `put`. */
export class UploadJournals {
  readonly #deps: JournalDeps;
  readonly #directory: string;
  readonly #ns: string;
  /** Files that were there at the start. */
  readonly #names: ReadonlySet<string>;
  readonly #disk: WillingDisk;

  private constructor(deps: JournalDeps, directory: string, ns: string, names: ReadonlySet<string>) {
    this.#deps = deps;
    this.#directory = directory;
    this.#ns = ns;
    this.#names = names;
    this.#disk = new WillingDisk(deps.log);
  }

  static async open(deps: JournalDeps, directory: string, ns: string): Promise<UploadJournals> {
    const names = await readdir(directory).catch(() => []);
    return new UploadJournals(deps, directory, ns, new Set(names.filter((name) => name.startsWith(PREFIX))));
  }

  /**
   * The journal of a file that goes under `key`; undefined for a small one of which nothing was left. An upload of other
   * bytes of the same source is aborted: nobody will go on with it.
   */
  async openFile(
    file: { readonly sourcePath: string; readonly path: string },
    key: string,
    options: { isLarge: boolean; signal: AbortSignal },
  ): Promise<UploadJournal | undefined> {
    const identity = [this.#deps.store.url, this.#ns, file.path, resolve(file.sourcePath)].join('\n');
    const name = `${PREFIX}${createHash('sha256').update(identity).digest('hex').slice(0, 32)}.journal`;
    if (!options.isLarge && !this.#names.has(name)) return undefined;
    const path = join(this.#directory, name);
    const left = leftIn((await this.#disk.try(() => readLines(path))) ?? []);
    const journal = new UploadJournal(this.#deps, this.#disk, { path, key, left });
    if (left && left.key !== key) await journal.drop(options.signal);
    return journal;
  }
}

/** Of one file. */
class UploadJournal implements UploadMemory {
  readonly #deps: JournalDeps;
  readonly #disk: WillingDisk;
  readonly #path: string;
  readonly #key: string;
  #left: Left | undefined;

  constructor(deps: JournalDeps, disk: WillingDisk, file: { path: string; key: string; left: Left | undefined }) {
    this.#deps = deps;
    this.#disk = disk;
    this.#path = file.path;
    this.#key = file.key;
    this.#left = file.left;
  }

  recall(): Left | undefined {
    return this.#left;
  }

  async begin(upload: Upload): Promise<void> {
    this.#left = { key: this.#key, upload, etags: new Map() };
    const line = encode({ upload: upload.uploadId, key: this.#key, part_bytes: upload.partBytes });
    await this.#disk.try(async () => {
      await makeDirectory(dirname(this.#path));
      await writeFile(this.#path, line);
    });
  }

  async add(upload: Upload, { partNumber, etag }: { partNumber: number; etag: string }): Promise<void> {
    this.#left?.etags.set(partNumber, etag);
    const line = encode({ upload: upload.uploadId, part: partNumber, etag });
    await this.#disk.try(() => appendFile(this.#path, line));
  }

  async forget(): Promise<void> {
    this.#left = undefined;
    await this.#disk.try(() => rm(this.#path, { force: true }));
  }

  /** Aborts what is left, as far as the store can be reached. */
  async drop(signal: AbortSignal): Promise<void> {
    if (!this.#left) return;
    const { key, upload } = this.#left;
    await this.#deps.store.abortUpload?.({ key, uploadId: upload.uploadId, signal }).catch((error: unknown) => {
      this.#deps.log.log('warn', `parts of ${key} that nobody needs stay in the store: ${messageOf(error)}`);
    });
    await this.forget();
  }
}

/** Asked until it refuses, which costs the resuming and never the put. */
class WillingDisk {
  readonly #log: Logger;
  #isBroken = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  async try<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (this.#isBroken) return undefined;
    try {
      return await work();
    } catch (error) {
      if (!this.#isBroken) {
        this.#log.log('warn', `no journal of uploads (${messageOf(error)}): one that is interrupted begins again`);
      }
      this.#isBroken = true;
      return undefined;
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function encode(line: Line): string {
  return encodeLine(JSON.stringify(line));
}

function leftIn(lines: readonly string[]): Left | undefined {
  let left: Left | undefined;
  for (const text of lines) {
    const json = parseLine(text);
    if (json === undefined) continue;
    // Its checksum holds, so it is a line that this program wrote.
    const line = JSON.parse(json) as Line;
    if ('key' in line) {
      left = { key: line.key, upload: { uploadId: line.upload, partBytes: line.part_bytes }, etags: new Map() };
    } else if (left?.upload.uploadId === line.upload) {
      left.etags.set(line.part, line.etag);
    }
  }
  return left;
}
