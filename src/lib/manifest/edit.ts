// A change to a version: files put in, files taken out. Applying it to the base gives the entries of the next version
// in order, and says what changed. An entry that is put in as it was is no change.
import { compareKeys } from '../objectstore/key.ts';
import { encodeEntry } from './entry-json.ts';
import { EntryList } from './entry-list.ts';
import type { FileEntry, PinnedVersion } from './types.ts';

export interface ManifestEdit {
  /** In any order, each path once. */
  readonly upserts: EntryList | readonly FileEntry[];
  /** Those that the base does not have are passed over. */
  readonly removals: readonly string[];
  /** Only the upserts make up the next version. */
  readonly replace?: boolean | undefined;
}

export interface EditCounts {
  readonly addedFiles: number;
  readonly changedFiles: number;
  /** Of the same bytes, in another object, of another time or cut into other pages. */
  readonly restatedFiles: number;
  readonly removedFiles: number;
  /** Of the base, as they were. */
  readonly carriedFiles: number;
  readonly addedBytes: number;
  readonly changedBytes: number;
  readonly restatedBytes: number;
  readonly removedBytes: number;
  readonly carriedBytes: number;
}

export interface AppliedEdit {
  readonly tombstones: readonly string[];
  readonly counts: EditCounts;
  readonly isChanged: boolean;
}

/** Have they the same bytes, as far as the manifests tell? */
export function isSameContent(a: FileEntry, b: FileEntry): boolean {
  if (a.sizeBytes !== b.sizeBytes) return false;
  if (a.hash !== undefined && b.hash !== undefined) return a.hash === b.hash;
  return a.storage.key === b.storage.key && a.storage.etag === b.storage.etag && a.storage.off === b.storage.off;
}

type Kept = 'added' | 'changed' | 'restated' | 'carried';

function changeOf(next: FileEntry, old: FileEntry): Kept {
  if (encodeEntry(next) === encodeEntry(old)) return 'carried';
  return isSameContent(next, old) ? 'restated' : 'changed';
}

/** Gives the entries of the next version to `take`, in order. Those that the edit has no say about are as they were. */
export async function applyEdit(
  { ns, base, edit }: { ns: string; base: PinnedVersion | undefined; edit: ManifestEdit },
  take: (entry: FileEntry) => Promise<void> | void,
): Promise<AppliedEdit> {
  const list = edit.upserts instanceof EntryList ? edit.upserts : new EntryList(ns, edit.upserts);
  const removals = new Set(edit.removals);
  const tombstones: string[] = [];
  const counts = {
    addedFiles: 0,
    changedFiles: 0,
    restatedFiles: 0,
    removedFiles: 0,
    carriedFiles: 0,
    addedBytes: 0,
    changedBytes: 0,
    restatedBytes: 0,
    removedBytes: 0,
    carriedBytes: 0,
  };
  const keep = (entry: FileEntry, as: Kept): Promise<void> | void => {
    counts[`${as}Files`] += 1;
    counts[`${as}Bytes`] += entry.sizeBytes;
    return take(entry);
  };
  const upserts = list.sorted();
  let next = upserts.next();
  for await (const old of base?.list() ?? []) {
    for (; !next.done && compareKeys(next.value.path, old.path) < 0; next = upserts.next()) {
      const taken = keep(next.value, 'added');
      if (taken) await taken;
    }
    if (next.value?.path === old.path) {
      await keep(next.value, changeOf(next.value, old));
      next = upserts.next();
    } else if (edit.replace || removals.has(old.path)) {
      tombstones.push(old.path);
      counts.removedFiles += 1;
      counts.removedBytes += old.sizeBytes;
    } else {
      const taken = keep(old, 'carried');
      if (taken) await taken;
    }
  }
  for (; !next.done; next = upserts.next()) {
    const taken = keep(next.value, 'added');
    if (taken) await taken;
  }
  const isChanged = counts.addedFiles + counts.changedFiles + counts.restatedFiles + counts.removedFiles > 0;
  return { tombstones, counts, isChanged };
}
