// A version over a cached index that may turn out to be damaged while it is read: the file is dropped and the version
// opened again from the store, once, under the reader's feet.
import { isSeekfsError } from '../base/errors.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { FileEntry, ManifestHeader, PinnedVersion } from './types.ts';

export class RecoveringVersion implements PinnedVersion {
  readonly #first: PinnedVersion;
  readonly #reopen: () => Promise<PinnedVersion>;
  #second: Promise<PinnedVersion> | undefined;

  /** `reopen` forgets the damaged file and opens the version from the store. */
  constructor(first: PinnedVersion, reopen: () => Promise<PinnedVersion>) {
    this.#first = first;
    this.#reopen = reopen;
  }

  get ns(): string {
    return this.#first.ns;
  }

  get version(): number {
    return this.#first.version;
  }

  get digest(): string {
    return this.#first.digest;
  }

  get header(): ManifestHeader {
    return this.#first.header;
  }

  get fileCount(): number {
    return this.#first.fileCount;
  }

  get totalBytes(): number {
    return this.#first.totalBytes;
  }

  /** The version to go on with, or the error where it was no damage, or the second one is damaged too. */
  #recover(error: unknown, failed: PinnedVersion): Promise<PinnedVersion> {
    if (failed !== this.#first || !isSeekfsError(error, 'cache_corrupt')) throw error;
    return (this.#second ??= this.#reopen());
  }

  lookup(path: string): MaybePromise<FileEntry> {
    if (this.#second) return this.#second.then((version) => version.lookup(path));
    const entry = this.#first.lookup(path);
    if (!(entry instanceof Promise)) return entry;
    return entry.catch(async (error: unknown) => (await this.#recover(error, this.#first)).lookup(path));
  }

  async *list(
    options: { prefix?: string | undefined; startAfter?: string | undefined } = {},
  ): AsyncIterable<FileEntry> {
    const version = (await this.#second) ?? this.#first;
    let { startAfter } = options;
    try {
      for await (const entry of version.list(options)) {
        startAfter = entry.path;
        yield entry;
      }
    } catch (error) {
      yield* (await this.#recover(error, version)).list({ ...options, startAfter });
    }
  }

  async close(): Promise<void> {
    await this.#first.close();
    const second = await this.#second?.catch(() => undefined);
    await second?.close();
  }
}
