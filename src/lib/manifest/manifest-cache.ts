// Compiled indexes of immutable versions in a local directory. The manifest's digest is in the file's name, every part
// of the file has a CRC, files appear by rename; a directory that is full or read-only is one warning, nothing more.
import { createHash } from 'node:crypto';
import { open, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isSeekfsError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { hexOf, toDigest } from './digest.ts';
import { FileSpool, MemorySpool, type IndexSpool } from './index-spool.ts';
import { fileSource, type IndexSource } from './index-version.ts';

/** A spool that is older was left by a process that died. */
const LEFTOVER_AGE_MS = 86_400_000;

export class ManifestCache {
  readonly #directory: string | undefined;
  readonly #log: Logger;

  constructor(
    place: { readonly cachePath: string | undefined; readonly storeUrl: string; readonly ns: string },
    log: Logger,
  ) {
    const name = createHash('sha256').update(`${place.storeUrl}\n${place.ns}`).digest('hex').slice(0, 32);
    this.#directory = place.cachePath === undefined ? undefined : join(place.cachePath, name);
    this.#log = log;
  }

  #fileOf(directory: string, version: number, digest: string): string {
    return join(directory, `v-${version}.${hexOf(digest)}.idx`);
  }

  /**
   * A miss where it is not there, or where the digest is not known and there are two: a bucket was made anew under the
   * same name.
   */
  async find(version: number, digest?: string): Promise<{ source: IndexSource; digest: string } | undefined> {
    const directory = this.#directory;
    if (directory === undefined) return undefined;
    let known = digest;
    if (known === undefined) {
      const digests = await this.#digestsOf(directory, version);
      if (digests.length !== 1) return undefined;
      known = digests[0]!;
    }
    try {
      return { source: await fileSource(await open(this.#fileOf(directory, version, known), 'r')), digest: known };
    } catch {
      return undefined;
    }
  }

  async #digestsOf(directory: string, version: number): Promise<string[]> {
    const names = await readdir(directory).catch(() => []);
    const pattern = new RegExp(`^v-${version}\\.([0-9a-f]{64})\\.idx$`);
    return names.flatMap((name) => {
      const match = pattern.exec(name);
      return match ? [toDigest(match[1]!)] : [];
    });
  }

  /** Takes a damaged one out. */
  async forget(version: number, digest: string): Promise<void> {
    if (this.#directory !== undefined)
      await unlink(this.#fileOf(this.#directory, version, digest)).catch(() => undefined);
  }

  #warn(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#log.log('warn', `manifests are not kept in the local cache: ${reason}`);
  }

  /** A place to write an index to. */
  async spool(): Promise<IndexSpool> {
    if (this.#directory === undefined) return new MemorySpool();
    try {
      return await FileSpool.create(this.#directory);
    } catch (error) {
      this.#warn(error);
      return new MemorySpool();
    }
  }

  /**
   * Runs work that writes an index, and again in memory where the disk does not take it.
   * The caller keeps or drops the spool that comes back.
   */
  async write<T>(work: (spool: IndexSpool) => Promise<T>): Promise<{ spool: IndexSpool; result: T }> {
    const spool = await this.spool();
    try {
      return { spool, result: await work(spool) };
    } catch (error) {
      await spool.drop();
      const isDisk = isSeekfsError(error, 'disk_full') || isSeekfsError(error, 'access_denied');
      if (spool.path === undefined || !isDisk) throw error;
      this.#warn(error);
      const memory = new MemorySpool();
      return { spool: memory, result: await work(memory) };
    }
  }

  /** Makes a written index the one of the version; others of the same number go. Gives the spool back. */
  async keep(spool: IndexSpool, version: number, digest: string): Promise<void> {
    const directory = this.#directory;
    if (directory !== undefined && spool.path !== undefined) {
      try {
        await spool.keep(this.#fileOf(directory, version, digest));
        for (const other of await this.#digestsOf(directory, version)) {
          if (other !== digest) await this.forget(version, other);
        }
        await this.#sweep(directory);
      } catch (error) {
        this.#warn(error);
      }
    }
    await spool.drop();
  }

  async #sweep(directory: string): Promise<void> {
    for (const name of await readdir(directory)) {
      if (!name.startsWith('spool-')) continue;
      const path = join(directory, name);
      const found = await stat(path).catch(() => undefined);
      if (found && Date.now() - found.mtimeMs > LEFTOVER_AGE_MS) await unlink(path).catch(() => undefined);
    }
  }
}
