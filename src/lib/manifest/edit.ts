// A change to a version: files put in, files taken out. Applying it to the base gives the entries of the next version
// in order, and says what changed. An entry that is put in as it was is no change.
import { SeekfsError } from '../base/errors.ts';
import { compareKeys } from '../objectstore/key.ts';
import { encodeEntry } from './entry-json.ts';
import type { FileEntry, PinnedVersion } from './types.ts';

export interface ManifestEdit {
  /** In any order, each path once. */
  readonly upserts: readonly FileEntry[];
  /** Those that the base does not have are passed over. */
  readonly removals: readonly string[];
  /** Only the upserts make up the next version. */
  readonly replace?: boolean | undefined;
}

export interface EditCounts {
  readonly addedFiles: number;
  readonly changedFiles: number;
  readonly removedFiles: number;
  /** Of the base, as they were. */
  readonly carriedFiles: number;
  readonly addedBytes: number;
  readonly changedBytes: number;
  readonly removedBytes: number;
  readonly carriedBytes: number;
}

export interface AppliedEdit {
  readonly tombstones: readonly string[];
  readonly counts: EditCounts;
  readonly isChanged: boolean;
}

/** Gives the entries of the next version to `take`, in order. Those that the edit has no say about are as they were. */
export async function applyEdit(
  base: PinnedVersion | undefined,
  edit: ManifestEdit,
  take: (entry: FileEntry) => Promise<void> | void,
): Promise<AppliedEdit> {
  const upserts = [...edit.upserts].sort((a, b) => compareKeys(a.path, b.path));
  for (let index = 1; index < upserts.length; index += 1) {
    if (upserts[index]!.path === upserts[index - 1]!.path) {
      throw new SeekfsError('usage', `the path ${upserts[index]!.path} is given twice`);
    }
  }
  const removals = new Set(edit.removals);
  const tombstones: string[] = [];
  const counts = {
    addedFiles: 0,
    changedFiles: 0,
    removedFiles: 0,
    carriedFiles: 0,
    addedBytes: 0,
    changedBytes: 0,
    removedBytes: 0,
    carriedBytes: 0,
  };
  const keep = (entry: FileEntry, as: 'added' | 'changed' | 'carried'): Promise<void> | void => {
    counts[`${as}Files`] += 1;
    counts[`${as}Bytes`] += entry.sizeBytes;
    return take(entry);
  };
  let next = 0;
  for await (const old of base?.list() ?? []) {
    while (next < upserts.length && compareKeys(upserts[next]!.path, old.path) < 0)
      await keep(upserts[next++]!, 'added');
    const upsert = upserts[next];
    if (upsert?.path === old.path) {
      next += 1;
      await keep(upsert, encodeEntry(upsert) === encodeEntry(old) ? 'carried' : 'changed');
    } else if (edit.replace || removals.has(old.path)) {
      tombstones.push(old.path);
      counts.removedFiles += 1;
      counts.removedBytes += old.sizeBytes;
    } else {
      const taken = keep(old, 'carried');
      if (taken) await taken;
    }
  }
  while (next < upserts.length) await keep(upserts[next++]!, 'added');
  const isChanged = counts.addedFiles + counts.changedFiles + counts.removedFiles > 0;
  return { tombstones, counts, isChanged };
}
