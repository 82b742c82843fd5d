// Opens one immutable version for reading. HEAD is read each time it is asked for and never cached; manifests are kept
// in a local directory, checked by digest, so that a version that was opened once costs no request ever after.
import { createHash } from 'node:crypto';
import { isSeekfsError, SeekfsError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { ObjectStore } from '../objectstore/object-store.ts';
import { decodeManifest, MANIFEST_BYTES_MAX } from './codec.ts';
import { readHead } from './head.ts';
import { checkNamespace, manifestKey } from './key-layout.ts';
import { lookupCached, storeCached } from './manifest-cache.ts';
import { comparePaths } from './path-order.ts';
import type { FileEntry, ManifestHeader, PinnedVersion, VersionSelector } from './types.ts';

export interface PinDeps {
  readonly store: ObjectStore;
  /** Directory for immutable manifests; undefined: nothing is kept. */
  readonly cachePath: string | undefined;
  readonly log: Logger;
}

/**
 * Resolves the selector and opens that version: one meta GET for HEAD where it is asked for, one for the manifest
 * where it is not cached.
 * @throws usage, namespace_not_found, version_not_found, manifest_invalid, and what the store throws
 */
export async function pinVersion(
  deps: PinDeps,
  ns: string,
  selector: VersionSelector,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<PinnedVersion> {
  checkNamespace(ns);
  if (selector.kind === 'version') return openVersion(deps, ns, selector, options.signal);
  const head = await readHead(deps.store, ns, options.signal);
  if (!head) {
    throw new SeekfsError(
      'namespace_not_found',
      `namespace ${ns} has no HEAD in ${deps.store.url}: nothing was published in it`,
    );
  }
  try {
    return await openVersion(deps, ns, head, options.signal);
  } catch (error) {
    if (!isSeekfsError(error, 'version_not_found')) throw error;
    throw new SeekfsError(
      'manifest_invalid',
      `HEAD of ${ns} points to version ${head.version}, whose manifest is missing`,
      {
        cause: error,
        details: { ns, version: head.version },
      },
    );
  }
}

/** Opens a version by number and, where it is known, by digest. */
export async function openVersion(
  deps: PinDeps,
  ns: string,
  wanted: { readonly version: number; readonly digest?: string | undefined },
  signal?: AbortSignal,
): Promise<PinnedVersion> {
  const slot = { cachePath: deps.cachePath, storeUrl: deps.store.url, ns, version: wanted.version };
  const cached = await lookupCached(slot, wanted.digest);
  if (cached) return decode(ns, wanted.version, cached);
  let bytes: Buffer;
  try {
    ({ bytes } = await deps.store.getWhole({
      key: manifestKey(ns, wanted.version),
      sizeBytesMax: MANIFEST_BYTES_MAX,
      purpose: 'meta',
      signal,
    }));
  } catch (error) {
    if (!isSeekfsError(error, 'object_not_found')) throw error;
    throw new SeekfsError(
      'version_not_found',
      `namespace ${ns} has no version ${wanted.version} in ${deps.store.url}`,
      {
        cause: error,
        details: { ns, version: wanted.version },
      },
    );
  }
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  if (wanted.digest !== undefined && digest !== wanted.digest) {
    throw new SeekfsError(
      'manifest_invalid',
      `the manifest of version ${wanted.version} of ${ns} has the digest ${digest}, ${wanted.digest} was expected`,
      { details: { ns, version: wanted.version, expected: wanted.digest, actual: digest } },
    );
  }
  const pinned = await decode(ns, wanted.version, { bytes, digest });
  await storeCached(slot, { bytes, digest }, deps.log);
  return pinned;
}

async function decode(
  ns: string,
  version: number,
  manifest: { readonly bytes: Uint8Array; readonly digest: string },
): Promise<PinnedVersion> {
  const entries: FileEntry[] = [];
  const header = await decodeManifest(manifest.bytes, { onEntry: (entry) => entries.push(entry) });
  if (header.version !== version) {
    throw new SeekfsError(
      'manifest_invalid',
      `the manifest of version ${version} of ${ns} says it is version ${header.version}`,
    );
  }
  return new MemoryVersion({ ns, digest: manifest.digest, header, entries });
}

/** A version whose entries are all in memory. */
class MemoryVersion implements PinnedVersion {
  readonly ns: string;
  readonly digest: string;
  readonly header: ManifestHeader;
  readonly #entries: readonly FileEntry[];
  readonly #byPath = new Map<string, FileEntry>();
  readonly totalBytes: number;

  constructor(parts: { ns: string; digest: string; header: ManifestHeader; entries: FileEntry[] }) {
    this.ns = parts.ns;
    this.digest = parts.digest;
    this.header = parts.header;
    this.#entries = parts.entries.sort((a, b) => comparePaths(a.path, b.path));
    let totalBytes = 0;
    for (const entry of this.#entries) {
      if (this.#byPath.has(entry.path)) {
        throw new SeekfsError(
          'manifest_invalid',
          `the manifest is malformed: path ${JSON.stringify(entry.path)} is there twice`,
        );
      }
      this.#byPath.set(entry.path, entry);
      totalBytes += entry.sizeBytes;
    }
    if (!Number.isSafeInteger(totalBytes)) throw new SeekfsError('manifest_invalid', 'the manifest has too many bytes');
    this.totalBytes = totalBytes;
  }

  get version(): number {
    return this.header.version;
  }

  get fileCount(): number {
    return this.#entries.length;
  }

  lookup(path: string): Promise<FileEntry> {
    const entry = this.#byPath.get(path);
    if (entry) return Promise.resolve(entry);
    return Promise.reject(
      new SeekfsError('path_not_found', `version ${this.version} of ${this.ns} has no file ${path}`, {
        details: { ns: this.ns, path, version: this.version },
      }),
    );
  }

  async *list(
    options: { prefix?: string | undefined; startAfter?: string | undefined } = {},
  ): AsyncIterable<FileEntry> {
    const { prefix = '', startAfter } = options;
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { path } = this.#entries[middle]!;
      const isBefore =
        comparePaths(path, prefix) < 0 || (startAfter !== undefined && comparePaths(path, startAfter) <= 0);
      if (isBefore) low = middle + 1;
      else high = middle;
    }
    for (let index = low; index < this.#entries.length; index += 1) {
      const entry = this.#entries[index]!;
      if (!entry.path.startsWith(prefix)) return;
      yield entry;
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
