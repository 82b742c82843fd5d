// What happened to a namespace: its versions from the current one back, and what differs between two of them.
import { isSeekfsError } from '../base/errors.ts';
import { compareKeys } from '../objectstore/key.ts';
import { isSameContent } from './edit.ts';
import { EntryList } from './entry-list.ts';
import { namespaceNotFound } from './head.ts';
import { checkNamespace } from './key-layout.ts';
import { openStoredVersion, pinVersion, type PinDeps } from './pinned.ts';
import { publish, type PublishDeps, type PublishReport } from './publisher.ts';
import type { FileEntry, PinnedVersion, VersionSelector } from './types.ts';

export interface VersionSummary {
  readonly version: number;
  readonly digest: string;
  readonly parents: readonly number[];
  readonly createdAtS: number;
  readonly fileCount: number;
  readonly totalBytes: number;
  readonly tombstones: number;
}

function summarize(pinned: PinnedVersion): VersionSummary {
  const { version, digest, header, fileCount, totalBytes } = pinned;
  const { parents, createdAtS, tombstones } = header;
  return { version, digest, parents, createdAtS, fileCount, totalBytes, tombstones: tombstones.length };
}

/**
 * The versions from `from` back along the first parents, until `limit` or the first that gc has removed.
 * @throws as pinVersion
 */
export async function* versionHistory(
  deps: PinDeps,
  ns: string,
  options: { from: VersionSelector; limit: number; signal?: AbortSignal | undefined },
): AsyncGenerator<VersionSummary> {
  const { from, limit, signal } = options;
  checkNamespace(ns);
  let pinned: PinnedVersion | undefined =
    from.kind === 'version'
      ? await openStoredVersion(deps, ns, from, signal)
      : await pinVersion(deps, ns, from, { signal });
  for (let count = 0; pinned && count < limit; count += 1) {
    const summary = summarize(pinned);
    await pinned.close();
    yield summary;
    const parent = summary.parents[0];
    // A parent is older, whatever a manifest claims: the walk ends.
    if (parent === undefined || parent >= summary.version || count + 1 >= limit) return;
    try {
      pinned = await openStoredVersion(deps, ns, { version: parent }, signal);
    } catch (error) {
      if (!isSeekfsError(error, 'version_not_found')) throw error;
      pinned = undefined;
    }
  }
}

export type Difference =
  | { readonly kind: 'added'; readonly path: string; readonly after: FileEntry }
  | { readonly kind: 'removed'; readonly path: string; readonly before: FileEntry }
  | { readonly kind: 'changed'; readonly path: string; readonly before: FileEntry; readonly after: FileEntry };

/** What `after` has that `before` has not, and the other way round, in the order of paths. */
export async function* diffVersions(before: PinnedVersion, after: PinnedVersion): AsyncGenerator<Difference> {
  const left = before.list()[Symbol.asyncIterator]();
  const right = after.list()[Symbol.asyncIterator]();
  let a = await left.next();
  let b = await right.next();
  while (!a.done || !b.done) {
    const order = a.done ? 1 : b.done ? -1 : compareKeys(a.value.path, b.value.path);
    if (!a.done && order < 0) {
      yield { kind: 'removed', path: a.value.path, before: a.value };
    } else if (!b.done && order > 0) {
      yield { kind: 'added', path: b.value.path, after: b.value };
    } else if (!a.done && !b.done && !isSameContent(a.value, b.value)) {
      yield { kind: 'changed', path: a.value.path, before: a.value, after: b.value };
    }
    if (order <= 0) a = await left.next();
    if (order >= 0) b = await right.next();
  }
}

/**
 * Publishes the contents of an older version as a new one.
 * @throws namespace_not_found, version_not_found, unsafe_store, version_conflict
 */
export function rollback(
  deps: PublishDeps,
  options: { ns: string; version: number; signal?: AbortSignal | undefined },
): Promise<PublishReport> {
  const { ns, version, signal } = options;
  return publish(deps, {
    ns,
    signal,
    plan: async (base) => {
      if (!base) throw namespaceNotFound(ns, deps.store);
      // Under the intent: gc removes no object of a version that is there now.
      const target = await openStoredVersion(deps, ns, { version }, signal);
      try {
        const upserts = new EntryList(ns);
        for await (const entry of target.list()) upserts.add(entry);
        return { upserts, removals: [], replace: true };
      } finally {
        await target.close();
      }
    },
  });
}
