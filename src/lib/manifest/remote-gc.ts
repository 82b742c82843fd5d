// gc in the bucket: removes old versions and the objects that no kept version names. It keeps out of the way of
// publishers (intents.ts), and it never removes what nobody published: a plain object goes only if a removed version
// named exactly that object.
import { isSeekfsError, SeekfsError, throwIfAborted } from '../base/errors.ts';
import type { ObjectListing, ObjectStore, UploadListing } from '../objectstore/object-store.ts';
import { peekIndex } from './codec.ts';
import { namespaceNotFound, readHead } from './head.ts';
import { LEASE_MS, Lease, type IntentDeps } from './intents.ts';
import {
  checkNamespace,
  filesPrefix,
  gcMarkKey,
  intentsPrefix,
  isContentKey,
  manifestsPrefix,
  namespacePrefix,
  parseManifestKey,
  releasedKey,
} from './key-layout.ts';
import { openVersion, type PinDeps } from './pinned.ts';
import { listPins } from './pins.ts';
import { readReleased, release, writeReleased } from './released.ts';
import type { FileEntry, PublishedIndex } from './types.ts';

const DELETE_BATCH = 1000;
const HEADER_BYTES = 64 * 1024;
const GC_GRACE_MS_DEFAULT = 24 * 3_600_000;

export interface RemoteGcOptions {
  readonly ns: string;
  /** Newest versions to keep, at least 1; pinned ones stay besides. */
  readonly keep: number;
  /** What was current, or written, so recently stays. Default a day. */
  readonly graceMs?: number | undefined;
  readonly dryRun: boolean;
  readonly onProgress?: ((progress: { objectsTotal: number; objectsDone: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface RemoteGcReport {
  readonly dryRun: boolean;
  readonly keptVersions: readonly number[];
  /** Of them, those that only the grace period keeps. */
  readonly youngVersions: readonly number[];
  readonly removedVersions: readonly number[];
  /** Of files; manifests and indexes come on top. */
  readonly objects: number;
  readonly objectBytes: number;
  readonly metaObjects: number;
  readonly metaBytes: number;
  /** Intents of publishers that died. */
  readonly staleIntents: number;
  /** Multipart uploads of puts that died and that nobody has gone on with; undefined where the store does not tell. */
  readonly uploads: number | undefined;
}

interface Plan {
  readonly kept: readonly number[];
  readonly young: readonly number[];
  readonly removed: readonly number[];
  readonly files: readonly ObjectListing[];
  readonly meta: readonly ObjectListing[];
  readonly uploads: readonly UploadListing[] | undefined;
  /** A gc that died had left a list of what it was about to remove. */
  readonly hadReleased: boolean;
}

/**
 * Removes what `--keep` leaves without an owner.
 * @throws usage, locked (a publisher or another gc is at work), namespace_not_found, manifest_invalid, and what the
 * store throws
 */
export async function collectRemote(deps: PinDeps & IntentDeps, options: RemoteGcOptions): Promise<RemoteGcReport> {
  const { ns, signal } = options;
  checkNamespace(ns);
  if (!Number.isSafeInteger(options.keep) || options.keep < 1) {
    throw new SeekfsError('usage', `--keep ${options.keep} must be a whole number from 1`);
  }
  // A dry run writes nothing, not even to ask for the time.
  const nowMs = options.dryRun ? deps.clock.nowMs() : await storeNowMs(deps, ns, signal);
  const mark = options.dryRun ? undefined : await openMark(deps, ns, nowMs, signal);
  try {
    const stale = await findStaleIntents(deps.store, { ns, nowMs, mayWait: options.dryRun, signal });
    const plan = await planRemoval(deps, options, nowMs);
    if (mark) {
      const isListed = await writeReleased(deps.store, ns, plan.files, signal);
      let objectsDone = 0;
      const objectsTotal = plan.meta.length + plan.files.length;
      // Versions go before their objects, in requests of their own because a store deletes a batch in any order: what a
      // crash leaves is garbage, never a version without its bytes.
      for (const objects of [plan.meta, plan.files]) {
        for (let start = 0; start < objects.length; start += DELETE_BATCH) {
          throwIfAborted(signal);
          mark.assertLive();
          const keys = objects.slice(start, start + DELETE_BATCH).map((object) => object.key);
          await deps.store.delete({ keys, signal });
          objectsDone += keys.length;
          options.onProgress?.({ objectsTotal, objectsDone });
        }
      }
      // The list of a gc before this one, too: what it named is gone, or is not to go.
      if (isListed || plan.hadReleased) await deps.store.delete({ keys: [releasedKey(ns)], signal });
      for (const { key, uploadId } of plan.uploads ?? []) await deps.store.abortUpload?.({ key, uploadId, signal });
      if (stale.length > 0) await deps.store.delete({ keys: stale, signal });
    }
    return {
      dryRun: options.dryRun,
      keptVersions: plan.kept,
      youngVersions: plan.young,
      removedVersions: plan.removed,
      objects: plan.files.length,
      objectBytes: sumBytes(plan.files),
      metaObjects: plan.meta.length,
      metaBytes: sumBytes(plan.meta),
      staleIntents: stale.length,
      uploads: plan.uploads?.length,
    };
  } finally {
    await mark?.close();
  }
}

function sumBytes(objects: readonly ObjectListing[]): number {
  return objects.reduce((sum, object) => sum + object.sizeBytes, 0);
}

/** The store's clock, which is the one that stamps objects: ours may differ by more than a lease. */
async function storeNowMs(deps: IntentDeps, ns: string, signal: AbortSignal | undefined): Promise<number> {
  const key = `${namespacePrefix(ns)}clock-${Buffer.from(deps.random.bytes(8)).toString('hex')}`;
  const source = { kind: 'bytes', bytes: Buffer.from('seekfs gc reads the clock\n') } as const;
  await deps.store.put({ key, source, condition: { kind: 'none' }, durable: false, signal });
  try {
    return (await deps.store.head({ key, signal })).modifiedAtMs;
  } finally {
    await deps.store.delete({ keys: [key] }).catch(() => undefined);
  }
}

/** @throws locked */
async function openMark(deps: IntentDeps, ns: string, nowMs: number, signal: AbortSignal | undefined): Promise<Lease> {
  const key = gcMarkKey(ns);
  const fresh = await Lease.open(deps, { key, condition: { kind: 'absent' }, signal });
  if (fresh) return fresh;
  try {
    const { etag, modifiedAtMs } = await deps.store.head({ key, signal });
    if (nowMs - modifiedAtMs > LEASE_MS) {
      const taken = await Lease.open(deps, { key, condition: { kind: 'match', etag }, signal });
      if (taken) return taken;
    }
  } catch (error) {
    if (!isSeekfsError(error, 'object_not_found')) throw error;
  }
  throw new SeekfsError(
    'locked',
    `another gc of ${ns} is running; if it died, its mark expires ${LEASE_MS / 60_000} minutes after its last sign of life`,
  );
}

/** @throws locked where a publisher lives, unless nothing will be removed anyway */
async function findStaleIntents(
  store: ObjectStore,
  search: { ns: string; nowMs: number; mayWait: boolean; signal: AbortSignal | undefined },
): Promise<string[]> {
  const stale: string[] = [];
  const { ns, nowMs, signal } = search;
  for await (const page of store.list({ prefix: intentsPrefix(ns), signal })) {
    for (const { key, modifiedAtMs } of page) {
      if (key === gcMarkKey(ns)) continue;
      if (nowMs - modifiedAtMs > LEASE_MS) stale.push(key);
      else if (!search.mayWait) {
        throw new SeekfsError(
          'locked',
          `a publisher of ${ns} is at work (${key}), whose objects no version names yet; run gc again when it is done`,
        );
      }
    }
  }
  return stale;
}

async function planRemoval(deps: PinDeps & IntentDeps, options: RemoteGcOptions, nowMs: number): Promise<Plan> {
  const { ns, signal } = options;
  const graceMs = options.graceMs ?? GC_GRACE_MS_DEFAULT;
  const isRecent = (object: ObjectListing): boolean => object.modifiedAtMs > nowMs - graceMs;
  const head = await readHead(deps.store, ns, signal);
  if (!head) throw namespaceNotFound(ns, deps.store);
  const pinned = new Set((await listPins(deps, ns, { signal })).map((pin) => pin.version));
  const { manifests, indexes } = await listVersions(deps.store, ns, signal);
  const { kept, young, removed } = chooseVersions(manifests, {
    head: head.version,
    keep: options.keep,
    pinned,
    isRecent,
  });
  const named = new Set<string>();
  const indexesInUse = new Set<string>();
  for (const version of kept) {
    await forEachEntry(deps, { ns, version, signal }, ({ storage }) => named.add(storage.key));
    const index = indexes.length > 0 ? await readIndexName(deps.store, manifests.get(version)!, signal) : undefined;
    if (index) indexesInUse.add(index.key);
  }
  const released = await readReleased(deps.store, ns, signal);
  const hadReleased = released.size > 0;
  for (const version of removed) {
    await forEachEntry(deps, { ns, version, signal }, ({ storage }) => {
      if (storage.etag !== undefined && !isContentKey(storage.key)) release(released, storage.key, storage.etag);
    });
  }
  const files: ObjectListing[] = [];
  for await (const page of deps.store.list({ prefix: filesPrefix(ns), signal })) {
    for (const object of page) {
      if (named.has(object.key) || isRecent(object)) continue;
      if (isContentKey(object.key) || released.get(object.key)?.has(object.etag)) files.push(object);
    }
  }
  const uploads = await listAbandoned(deps.store, { ns, begunBeforeMs: nowMs - graceMs, signal });
  const isRemoved = new Set(removed);
  const meta = [
    ...removed.map((version) => manifests.get(version)!),
    ...indexes
      .filter(({ version, object }) => isRemoved.has(version) || (!indexesInUse.has(object.key) && !isRecent(object)))
      .map(({ object }) => object),
  ];
  return { kept, young, removed, files, meta, uploads, hadReleased };
}

/** Of content-addressed objects only, which is what a put writes: other keys' uploads are other tools'. */
async function listAbandoned(
  store: ObjectStore,
  search: { readonly ns: string; readonly begunBeforeMs: number; readonly signal: AbortSignal | undefined },
): Promise<readonly UploadListing[] | undefined> {
  try {
    const uploads = (await store.listUploads?.({ prefix: filesPrefix(search.ns), signal: search.signal })) ?? [];
    return uploads.filter(({ key, begunAtMs }) => isContentKey(key) && begunAtMs <= search.begunBeforeMs);
  } catch (error) {
    // Not every policy allows it, and not every store knows it.
    if (!isSeekfsError(error) || error.retryable || error.code === 'interrupted') throw error;
    return undefined;
  }
}

interface ListedVersions {
  /** By version. */
  readonly manifests: ReadonlyMap<number, ObjectListing>;
  readonly indexes: readonly { readonly version: number; readonly object: ObjectListing }[];
}

async function listVersions(store: ObjectStore, ns: string, signal: AbortSignal | undefined): Promise<ListedVersions> {
  const manifests = new Map<number, ObjectListing>();
  const indexes: { version: number; object: ObjectListing }[] = [];
  for await (const page of store.list({ prefix: manifestsPrefix(ns), signal })) {
    for (const object of page) {
      const parsed = parseManifestKey(ns, object.key);
      if (parsed?.kind === 'manifest') manifests.set(parsed.version, object);
      else if (parsed) indexes.push({ version: parsed.version, object });
    }
  }
  return { manifests, indexes };
}

/** Newest first; `young` are those of `kept` that only the grace keeps. */
function chooseVersions(
  manifests: ListedVersions['manifests'],
  rules: {
    readonly head: number;
    readonly keep: number;
    readonly pinned: ReadonlySet<number>;
    readonly isRecent: (object: ObjectListing) => boolean;
  },
): Pick<Plan, 'kept' | 'young' | 'removed'> {
  const { head, keep, pinned, isRecent } = rules;
  const versions = [...manifests.keys()].sort((a, b) => b - a);
  // What is past HEAD is committed and not announced yet; what was current until lately may be read by anybody.
  const newest = new Set(versions.filter((version) => version <= head).slice(0, keep));
  const isNeeded = (version: number): boolean => version >= head || newest.has(version) || pinned.has(version);
  const isYoung = (version: number): boolean => {
    const successor = manifests.get(version + 1);
    return successor !== undefined && isRecent(successor);
  };
  const kept = versions.filter((version) => isNeeded(version) || isYoung(version));
  const young = kept.filter((version) => !isNeeded(version));
  const isKept = new Set(kept);
  const removed = versions.filter((version) => !isKept.has(version));
  return { kept, young, removed };
}

async function forEachEntry(
  deps: PinDeps,
  of: { readonly ns: string; readonly version: number; readonly signal: AbortSignal | undefined },
  use: (entry: FileEntry) => void,
): Promise<void> {
  const open = await openVersion(deps, of.ns, { version: of.version }, of.signal);
  try {
    for await (const entry of open.list()) use(entry);
  } finally {
    await open.close();
  }
}

/** A manifest names its index in its first bytes; the compiled index, which cannot name itself, does not tell. */
async function readIndexName(
  store: ObjectStore,
  manifest: ObjectListing,
  signal: AbortSignal | undefined,
): Promise<PublishedIndex | undefined> {
  const chunks: Buffer[] = [];
  const range = { off: 0, len: Math.min(manifest.sizeBytes, HEADER_BYTES) };
  const write = (chunk: Uint8Array): void => void chunks.push(Buffer.from(chunk));
  await store.getRange({ key: manifest.key, range, purpose: 'meta', signal }, { write });
  return peekIndex(Buffer.concat(chunks));
}
