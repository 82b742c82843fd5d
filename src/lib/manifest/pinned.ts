// Opens one immutable version for reading. HEAD is read each time it is asked for and never cached; compiled indexes of
// manifests are kept in a local directory, so that a version that was opened once costs no request ever after.
import { createHash } from 'node:crypto';
import { loadCrc32c } from '../base/crc32c.ts';
import { isSeekfsError, SeekfsError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { headIfThere } from '../objectstore/head-if-there.ts';
import type { ObjectStore } from '../objectstore/object-store.ts';
import { MANIFEST_BYTES_MAX, peekIndex } from './codec.ts';
import { digestOf, toDigest } from './digest.ts';
import { namespaceNotFound, readHead } from './head.ts';
import type { IndexedManifest } from './index-build.ts';
import { compileIndex } from './index-compile.ts';
import type { IndexSpool } from './index-spool.ts';
import { IndexVersion } from './index-version.ts';
import { checkNamespace, manifestKey } from './key-layout.ts';
import { ManifestCache } from './manifest-cache.ts';
import { RecoveringVersion } from './recovering-version.ts';
import type { PinnedVersion, PublishedIndex, VersionSelector } from './types.ts';

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
  for (let missing: number | undefined; ;) {
    const head = await readHead(deps.store, ns, options.signal);
    if (!head) throw namespaceNotFound(ns, deps.store);
    try {
      return await openVersion(deps, ns, head, options.signal);
    } catch (error) {
      if (!isSeekfsError(error, 'version_not_found')) throw error;
      // Publishers and gc may have gone by since HEAD was read, which then points to a newer version.
      if (missing !== head.version) {
        missing = head.version;
        continue;
      }
      throw new SeekfsError(
        'manifest_invalid',
        `HEAD of ${ns} points to version ${head.version}, whose manifest is missing`,
        { cause: error, details: { ns, version: head.version } },
      );
    }
  }
}

/** The current version; undefined where nothing was published. @throws as pinVersion */
export async function pinCurrent(
  deps: PinDeps,
  ns: string,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<PinnedVersion | undefined> {
  try {
    return await pinVersion(deps, ns, { kind: 'head' }, options);
  } catch (error) {
    if (isSeekfsError(error, 'namespace_not_found')) return undefined;
    throw error;
  }
}

/** Opens a version by number and, where it is known, by digest. */
export async function openVersion(
  deps: PinDeps,
  ns: string,
  wanted: WantedVersion,
  signal?: AbortSignal,
): Promise<PinnedVersion> {
  await loadCrc32c();
  const { version } = wanted;
  const cache = new ManifestCache({ cachePath: deps.cachePath, storeUrl: deps.store.url, ns }, deps.log);
  const cached = await cache.find(version, wanted.digest);
  if (cached) {
    const { digest } = cached;
    const reopen = async (): Promise<PinnedVersion> => {
      await cache.forget(version, digest);
      deps.log.log('warn', `the cached manifest of version ${version} of ${ns} was damaged and is read anew`);
      return fetchVersion(deps, cache, { ns, version, digest }, signal);
    };
    try {
      const first = await IndexVersion.open({ ns, digest }, cached.source);
      if (first.version === version) return new RecoveringVersion(first, reopen);
      await first.close();
    } catch (error) {
      if (!isSeekfsError(error, 'cache_corrupt')) throw error;
    }
    return reopen();
  }
  return fetchVersion(deps, cache, { ns, ...wanted }, signal);
}

/**
 * Opens a version that the store has: one that gc removed may be cached still, and its objects gone. One head request.
 * @throws as openVersion
 */
export async function openStoredVersion(
  deps: PinDeps,
  ns: string,
  wanted: WantedVersion,
  signal?: AbortSignal,
): Promise<PinnedVersion> {
  const { version } = wanted;
  if (!(await headIfThere(deps.store, manifestKey(ns, version), signal))) throw versionNotFound(deps, ns, version);
  return openVersion(deps, ns, wanted, signal);
}

interface WantedVersion {
  readonly version: number;
  readonly digest?: string | undefined;
}

async function fetchVersion(
  deps: PinDeps,
  cache: ManifestCache,
  wanted: WantedVersion & { readonly ns: string },
  signal: AbortSignal | undefined,
): Promise<PinnedVersion> {
  const { ns, version } = wanted;
  const bytes = await fetchManifest(deps, ns, version, signal);
  const digest = await digestOf(bytes);
  if (wanted.digest !== undefined && digest !== wanted.digest) {
    throw new SeekfsError(
      'manifest_invalid',
      `the manifest of version ${version} of ${ns} has the digest ${digest}, ${wanted.digest} was expected`,
      { details: { ns, version, expected: wanted.digest, actual: digest } },
    );
  }
  try {
    return await openManifest(deps, cache, { ns, version, digest, bytes }, signal);
  } catch (error) {
    if (!isSeekfsError(error, 'manifest_invalid')) throw error;
    // The codec knows bytes, not whose they are.
    const message = `version ${version} of ${ns} cannot be read: ${error.message}`;
    throw new SeekfsError('manifest_invalid', message, { cause: error, details: { ns, version } });
  }
}

async function openManifest(
  deps: PinDeps,
  cache: ManifestCache,
  manifest: IndexedManifest & { readonly digest: string },
  signal: AbortSignal | undefined,
): Promise<PinnedVersion> {
  const { ns, version, digest, bytes } = manifest;
  const published = await peekIndex(bytes);
  if (published) {
    const { spool, result } = await cache.write((spool) => fetchIndex(deps, published, spool, signal));
    const opened = result ? await openSpooled(spool, { ns, version, digest }) : undefined;
    if (opened) {
      await cache.keep(spool, version, digest);
      return opened;
    }
    await spool.drop();
    deps.log.log(
      'warn',
      `the published index ${published.key} is not what the manifest says; it is built from the manifest`,
    );
  }
  const { spool } = await cache.write((spool) => compileIndex(manifest, spool, signal));
  const opened = await IndexVersion.open({ ns, digest }, await spool.source());
  await cache.keep(spool, version, digest);
  return opened;
}

async function fetchManifest(deps: PinDeps, ns: string, version: number, signal?: AbortSignal): Promise<Buffer> {
  try {
    const key = manifestKey(ns, version);
    const object = await deps.store.getWhole({ key, sizeBytesMax: MANIFEST_BYTES_MAX, purpose: 'meta', signal });
    return object.bytes;
  } catch (error) {
    if (!isSeekfsError(error, 'object_not_found')) throw error;
    throw versionNotFound(deps, ns, version, error);
  }
}

function versionNotFound(deps: PinDeps, ns: string, version: number, cause?: unknown): SeekfsError {
  return new SeekfsError('version_not_found', `namespace ${ns} has no version ${version} in ${deps.store.url}`, {
    cause,
    details: { ns, version },
  });
}

/** @returns whether the object is there, whole, and has its digest */
async function fetchIndex(
  deps: PinDeps,
  index: PublishedIndex,
  spool: IndexSpool,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const hash = createHash('sha256');
  const write = (chunk: Uint8Array): Promise<void> => {
    const bytes = Buffer.from(chunk);
    hash.update(bytes);
    return spool.append([bytes]);
  };
  try {
    const range = { off: 0, len: index.sizeBytes };
    await deps.store.getRange({ key: index.key, range, purpose: 'meta', signal }, { write });
  } catch (error) {
    if (isSeekfsError(error, 'object_not_found') || isSeekfsError(error, 'range_not_satisfiable')) return false;
    throw error;
  }
  return toDigest(hash.digest('hex')) === index.digest;
}

async function openSpooled(
  spool: IndexSpool,
  identity: { ns: string; version: number; digest: string },
): Promise<PinnedVersion | undefined> {
  try {
    const opened = await IndexVersion.open(identity, await spool.source());
    if (opened.version === identity.version) return opened;
    await opened.close();
  } catch (error) {
    if (!isSeekfsError(error, 'cache_corrupt')) throw error;
  }
  return undefined;
}
