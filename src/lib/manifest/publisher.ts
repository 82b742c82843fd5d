// Publishing by compare-and-swap. Creating the manifest object v-{n+1} with If-None-Match: * is the commit; HEAD then
// follows by If-Match. Whoever finds a valid v-{n+1} behind a HEAD at n moves HEAD for it; whoever loses the race plans
// its change again on the version that won. An outcome that nobody told us is read back.
import type { ByteRange } from '../base/byte-range.ts';
import type { Clock } from '../base/clock.ts';
import { isSeekfsError, SeekfsError, throwIfAborted } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { headIfThere } from '../objectstore/head-if-there.ts';
import { digestOf } from './digest.ts';
import { draftVersion } from './draft.ts';
import type { EditCounts, ManifestEdit } from './edit.ts';
import { readHead, swapHead, type HeadState } from './head.ts';
import { openIntent, type Lease } from './intents.ts';
import type { IndexSpool } from './index-spool.ts';
import { checkNamespace, manifestKey, namespacePrefix } from './key-layout.ts';
import { ManifestCache } from './manifest-cache.ts';
import { openVersion, type PinDeps } from './pinned.ts';
import type { PinnedVersion, PublishedIndex } from './types.ts';

export interface PublishDeps extends PinDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Publish even to a store that ignores conditional writes: versions may get lost there. */
  readonly unsafePublish: boolean;
}

export interface PublishRequest {
  readonly ns: string;
  /** The change, planned on the current version; called again on the version that won where this one lost a race. */
  readonly plan: (base: PinnedVersion | undefined) => Promise<ManifestEdit> | ManifestEdit;
  /** The caller's own, opened before it looked at any object; else one is opened for the call. */
  readonly intent?: Lease | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PublishReport extends EditCounts {
  /** False: nothing would change, and `version` is the one that is current. */
  readonly published: boolean;
  readonly version: number;
  readonly digest: string;
  readonly fileCount: number;
  readonly totalBytes: number;
}

const ATTEMPTS_MAX = 200;
const SEND_ATTEMPTS_MAX = 5;
const INDEX_CHUNK_BYTES = 1024 * 1024;
const BACKOFF_MS_FIRST = 10;
const BACKOFF_MS_MAX = 1000;

/** What a store may say about a request that it carried out all the same. */
function isAmbiguous(error: unknown): boolean {
  return isSeekfsError(error, 'store_unavailable') || isSeekfsError(error, 'store_throttled');
}

/**
 * Publishes one change as one new version, or says that nothing changes.
 * @throws unsafe_store, version_conflict (too many races lost), manifest_invalid, and what the plan and the store throw
 */
export async function publish(deps: PublishDeps, request: PublishRequest): Promise<PublishReport> {
  checkNamespace(request.ns);
  await refuseUnsafeStore(deps, request.ns, request.signal);
  const intent = request.intent ?? (await openIntent(deps, request.ns, request.signal));
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      throwIfAborted(request.signal);
      if (attempt > 0) await backOff(deps, attempt, request.signal);
      const current = await openCurrent(deps, request.ns, request.signal);
      if (current === 'moved') continue;
      try {
        const report = await attemptOn(deps, request, intent, current);
        if (report) return report;
      } finally {
        await current.base?.close();
      }
    }
    throw new SeekfsError(
      'version_conflict',
      `other publishers of ${request.ns} were first ${ATTEMPTS_MAX} times in a row; nothing was published, try again`,
    );
  } finally {
    if (!request.intent) await intent.close();
  }
}

export async function refuseUnsafeStore(
  deps: Pick<PublishDeps, 'store' | 'unsafePublish'>,
  ns: string,
  signal?: AbortSignal,
): Promise<void> {
  if (deps.unsafePublish) return;
  const { ifNoneMatch, ifMatch } = await deps.store.probeConditionalWrites({ prefix: namespacePrefix(ns), signal });
  if (ifNoneMatch && ifMatch) return;
  const missing = [...(ifNoneMatch ? [] : ['If-None-Match']), ...(ifMatch ? [] : ['If-Match'])].join(' and ');
  throw new SeekfsError(
    'unsafe_store',
    `${deps.store.url} ignores ${missing} on PUT, so two publishers could lose a version; publish from one place at a time with --unsafe-publish`,
    { details: { store: deps.store.url } },
  );
}

interface Current {
  readonly head: HeadState | undefined;
  readonly base: PinnedVersion | undefined;
}

/** The version to build on; 'moved' where HEAD was behind a committed version and has been moved, or has moved. */
async function openCurrent(deps: PublishDeps, ns: string, signal?: AbortSignal): Promise<Current | 'moved'> {
  const head = await readHead(deps.store, ns, signal);
  const next = (head?.version ?? 0) + 1;
  if (await headIfThere(deps.store, manifestKey(ns, next), signal)) {
    await rollForward(deps, { ns, head, version: next, signal });
    return 'moved';
  }
  if (!head) return { head, base: undefined };
  try {
    return { head, base: await openVersion(deps, ns, head, signal) };
  } catch (error) {
    // gc may have removed it since HEAD was read, which says that HEAD has moved on.
    if (!isSeekfsError(error, 'version_not_found')) throw error;
    const now = await readHead(deps.store, ns, signal);
    if (now?.version !== head.version) return 'moved';
    throw new SeekfsError(
      'manifest_invalid',
      `HEAD of ${ns} points to version ${head.version}, whose manifest is missing`,
    );
  }
}

/** Moves HEAD to a version that a publisher committed and did not live to announce. */
async function rollForward(
  deps: PublishDeps,
  found: { ns: string; head: HeadState | undefined; version: number; signal: AbortSignal | undefined },
): Promise<void> {
  const { ns, head, version, signal } = found;
  const orphan = await openVersion({ ...deps, cachePath: undefined }, ns, { version }, signal);
  const { digest } = orphan;
  const isSuccessor = head ? orphan.header.parents.includes(head.version) : orphan.header.parents.length === 0;
  await orphan.close();
  if (!isSuccessor) {
    throw new SeekfsError(
      'manifest_invalid',
      `version ${version} of ${ns} is there, but is no successor of HEAD (${head ? `v-${head.version}` : 'none'}); remove one of the two`,
    );
  }
  await announce(deps, { ns, version, digest, expected: head, signal });
}

/** @returns undefined where another publisher committed this version first */
async function attemptOn(
  deps: PublishDeps,
  request: PublishRequest,
  intent: Lease,
  current: Current,
): Promise<PublishReport | undefined> {
  const { base } = current;
  const { ns, signal } = request;
  const edit = await request.plan(base);
  const cache = new ManifestCache({ cachePath: deps.cachePath, storeUrl: deps.store.url, ns }, deps.log);
  const draft = await draftVersion(cache, {
    ns,
    base,
    edit,
    createdAtS: Math.floor(deps.clock.nowMs() / 1000),
    publishId: Buffer.from(deps.random.bytes(8)).toString('hex'),
  });
  const { counts, version, digest, bytes, fileCount, totalBytes } = draft;
  let isOurs = false;
  try {
    if (base && !draft.isChanged) {
      return { published: false, version: base.version, digest: base.digest, ...counts, fileCount, totalBytes };
    }
    if (draft.index) await putIndex(deps, draft.index, draft.spool, signal);
    intent.assertLive();
    isOurs = await commit(deps, { key: manifestKey(ns, version), bytes, digest, signal });
    if (!isOurs) {
      // Nobody names it; what a failure leaves goes with gc.
      if (draft.index) await deps.store.delete({ keys: [draft.index.key] }).catch(() => undefined);
      return undefined;
    }
    // From here on the version exists, and stopping half-way would only leave work to the next publisher.
    await announce(deps, { ns, version, digest, expected: current.head });
    return { published: true, version, digest, ...counts, fileCount, totalBytes };
  } finally {
    if (isOurs) await cache.keep(draft.spool, version, digest);
    else await draft.spool.drop();
  }
}

async function putIndex(
  deps: PublishDeps,
  index: PublishedIndex,
  spool: IndexSpool,
  signal: AbortSignal | undefined,
): Promise<void> {
  const bytes = await spool.source();
  const open = async function* (range: ByteRange): AsyncIterable<Uint8Array> {
    for (let at = 0; at < range.len; at += INDEX_CHUNK_BYTES) {
      yield await bytes.read(range.off + at, Math.min(INDEX_CHUNK_BYTES, range.len - at));
    }
  };
  try {
    await deps.store.put({
      key: index.key,
      source: { kind: 'stream', sizeBytes: index.sizeBytes, open },
      condition: { kind: 'none' },
      durable: true,
      signal,
    });
  } finally {
    await bytes.close();
  }
}

interface Commit {
  readonly key: string;
  readonly bytes: Buffer;
  readonly digest: string;
  readonly signal: AbortSignal | undefined;
}

/** @returns whether the manifest that is there now is ours */
async function commit(deps: PublishDeps, manifest: Commit): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await deps.store.put({
        key: manifest.key,
        source: { kind: 'bytes', bytes: manifest.bytes },
        condition: deps.unsafePublish ? { kind: 'none' } : { kind: 'absent' },
        durable: true,
        contentType: 'application/gzip',
        signal: manifest.signal,
      });
      return true;
    } catch (error) {
      // A refused condition is read back too: a retry below us may have met what its first try wrote.
      const isRefused = isSeekfsError(error, 'precondition_failed');
      if (!isRefused && !isAmbiguous(error)) throw error;
      const found = await readBack(deps, manifest);
      if (found !== 'nothing') return found === 'ours';
      if (attempt >= SEND_ATTEMPTS_MAX) throw error;
      await backOff(deps, attempt, manifest.signal);
    }
  }
}

async function readBack(deps: PublishDeps, manifest: Commit): Promise<'ours' | 'other' | 'nothing'> {
  try {
    const { key, signal } = manifest;
    const head = await deps.store.head({ key, signal });
    if (head.sizeBytes !== manifest.bytes.length) return 'other';
    const object = await deps.store.getWhole({ key, sizeBytesMax: head.sizeBytes, purpose: 'meta', signal });
    return (await digestOf(object.bytes)) === manifest.digest ? 'ours' : 'other';
  } catch (error) {
    if (isSeekfsError(error, 'object_not_found')) return 'nothing';
    throw error;
  }
}

/** Moves HEAD to a version that is committed. Where it is past that already, another publisher did it. */
async function announce(
  deps: PublishDeps,
  done: {
    ns: string;
    version: number;
    digest: string;
    expected: HeadState | undefined;
    signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const { ns, signal } = done;
  let { expected } = done;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const next = { version: done.version, digest: done.digest };
      if (await swapHead(deps.store, { ns, expected, next, unsafe: deps.unsafePublish }, signal)) return;
    } catch (error) {
      if (!isAmbiguous(error) || attempt >= SEND_ATTEMPTS_MAX) throw error;
      await backOff(deps, attempt, signal);
    }
    expected = await readHead(deps.store, ns, signal);
    if (expected && expected.version >= done.version) return;
  }
}

function backOff(deps: PublishDeps, attempt: number, signal: AbortSignal | undefined): Promise<void> {
  const limitMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_FIRST * 2 ** Math.min(attempt, 10));
  return deps.clock.sleep(deps.random.unit() * limitMs, signal);
}
