// What an interrupted `manifest gen` has read so far: one line a finished file, its CRC32C before it, appended as the
// files end. A line that is torn or damaged is passed over, and its file is read again.
import { open, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeDirectory } from '../disk/make-directory.ts';
import { wrapSystemError } from '../base/errors.ts';
import { encodeEntry, parseEntry } from './entry-json.ts';
import { encodeLine, parseLine, readLines } from './journal-lines.ts';
import type { FileEntry } from './types.ts';

function identity(object: { key: string; sizeBytes: number; etag: string | undefined }): string {
  return `${object.key}\n${object.sizeBytes}\n${object.etag ?? ''}`;
}

export class ReadJournal {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #finished: Map<string, FileEntry>;
  #appending: Promise<void> = Promise.resolve();

  private constructor(path: string, file: FileHandle, finished: Map<string, FileEntry>) {
    this.#path = path;
    this.#file = file;
    this.#finished = finished;
  }

  /** `resume`: what is in the file counts; otherwise it is begun anew. `loadCrc32c` must have resolved. */
  static async open(path: string, options: { resume: boolean; pageSizeBytes: number }): Promise<ReadJournal> {
    const head = `seekfs-gen 1 ${options.pageSizeBytes}`;
    const finished = new Map<string, FileEntry>();
    try {
      let isKept = false;
      if (options.resume) {
        const lines = await readLines(path);
        isKept = lines[0] === head;
        for (const line of isKept ? lines.slice(1) : []) {
          const entry = entryOf(line);
          if (entry) finished.set(identity({ ...entry.storage, sizeBytes: entry.sizeBytes }), entry);
        }
      }
      await makeDirectory(dirname(path));
      const file = await open(path, isKept ? 'a' : 'w');
      // After a torn line the next one begins on its own.
      await file.appendFile(isKept ? '\n' : `${head}\n`);
      return new ReadJournal(path, file, finished);
    } catch (error) {
      throw wrapSystemError(error, `write the journal ${path}`);
    }
  }

  find(object: { key: string; sizeBytes: number; etag: string }): FileEntry | undefined {
    return this.#finished.get(identity(object));
  }

  async append(entry: FileEntry): Promise<void> {
    const line = encodeLine(encodeEntry(entry));
    this.#appending = this.#appending.then(() => this.#file.appendFile(line));
    await this.#appending.catch((error: unknown) => {
      throw wrapSystemError(error, `write the journal ${this.#path}`);
    });
  }

  /** `done`: what it holds was published, so the file is removed. */
  async close(options: { done: boolean }): Promise<void> {
    await this.#appending.catch(() => undefined);
    await this.#file.close();
    if (options.done) await rm(this.#path, { force: true });
  }
}

function entryOf(line: string): FileEntry | undefined {
  const json = parseLine(line);
  if (json === undefined) return undefined;
  try {
    return parseEntry(JSON.parse(json));
  } catch {
    return undefined;
  }
}
