// `manifest gen`: publishes what lies in the bucket. What is as the parent says is carried forward unread; the rest is
// read once, several objects at a time, each pinned to the ETag of the listing.
import { EntryList } from './entry-list.ts';
import { SeekfsError } from '../base/errors.ts';
import { readAll, type ReadCounts, type ReadProgress } from './bucket-read.ts';
import { scanBucket, type BucketScan } from './bucket-scan.ts';
import { checkPageSize } from './checksums.ts';
import type { ManifestEdit } from './edit.ts';
import { findFile } from './find-file.ts';
import { openIntent } from './intents.ts';
import { checkNamespace, filesPrefix } from './key-layout.ts';
import { compilePatterns, type PathPatterns } from './path-patterns.ts';
import { pinCurrent } from './pinned.ts';
import { publish, refuseUnsafeStore, type PublishDeps, type PublishReport } from './publisher.ts';
import type { PinnedVersion } from './types.ts';

export interface GenerateOptions {
  readonly ns: string;
  /** Paths, prefixes that end in '/', globs; none: everything. */
  readonly patterns: readonly string[];
  readonly pageSizeBytes: number;
  readonly dryRun?: boolean | undefined;
  /** The new version has only the files that match. */
  readonly replace?: boolean | undefined;
  /** Entries of `put` whose object has another ETag (a store that was moved) are read again and bound to it. */
  readonly rebind?: boolean | undefined;
  /** Files that an interrupted run had finished are not read again. */
  readonly resume?: boolean | undefined;
  /** The members of tar shards (WebDataset) become files beside the shards: `a.tar` gives `a/…`. */
  readonly indexTar?: boolean | undefined;
  /** Directory for the journal of what was read; undefined: none is kept. */
  readonly journalPath?: string | undefined;
  readonly onProgress?: ((progress: GenerateProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type GenerateProgress =
  { readonly phase: 'list'; readonly listedObjects: number } | ({ readonly phase: 'read' } & ReadProgress);

export interface PlannedChange {
  readonly kind: 'added' | 'changed' | 'removed';
  readonly path: string;
  readonly sizeBytes: number;
}

export interface GenerateReport extends PublishReport, ReadCounts {
  readonly dryRun: boolean;
  /** What a dry run would do, or what was done. */
  readonly changes: readonly PlannedChange[];
  readonly shadowed: BucketScan['shadowed'];
  readonly shadowedCount: number;
  readonly skipped: BucketScan['skipped'];
  readonly skippedCount: number;
}

/**
 * Publishes the bucket's files, or says what it would do.
 * @throws usage, object_not_found (a pattern without any object), object_changed, unsafe_store, version_conflict,
 * manifest_invalid, and what the store throws
 */
export async function generate(deps: PublishDeps, options: GenerateOptions): Promise<GenerateReport> {
  checkNamespace(options.ns);
  checkPageSize(options.pageSizeBytes);
  if (options.replace && options.patterns.length === 0) {
    throw new SeekfsError('usage', '--replace needs the paths that shall be left');
  }
  const patterns = compilePatterns(options.patterns);
  if (!options.dryRun) await refuseUnsafeStore(deps, options.ns, options.signal);
  const intent = options.dryRun ? undefined : await openIntent(deps, options.ns, options.signal);
  try {
    const base = await pinCurrent(deps, options.ns, { signal: options.signal });
    try {
      const scan = await scanBucket(deps.store, base, {
        ns: options.ns,
        patterns,
        rebind: options.rebind ?? false,
        indexTar: options.indexTar ?? false,
        onListed: (listedObjects) => options.onProgress?.({ phase: 'list', listedObjects }),
        signal: options.signal,
      });
      checkMatches(deps, options, patterns, { scan, base });
      if (options.dryRun) return await dryReport(scan, base, options, patterns);
      const read = await readAll(
        deps,
        { ...options, onProgress: (progress) => options.onProgress?.({ phase: 'read', ...progress }) },
        scan,
      );
      try {
        const published = await publish(deps, {
          ns: options.ns,
          plan: (current) => planEdit({ scan, entries: read.entries, base, current }, options, patterns),
          intent,
          signal: options.signal,
        });
        await read.journal?.close({ done: true });
        return { ...published, dryRun: false, ...read.counts, changes: changesOf(scan), ...reportOf(scan) };
      } catch (error) {
        await read.journal?.close({ done: false });
        throw error;
      }
    } finally {
      await base?.close();
    }
  } finally {
    await intent?.close();
  }
}

function checkMatches(
  deps: PublishDeps,
  options: GenerateOptions,
  patterns: PathPatterns,
  found: { scan: BucketScan; base: PinnedVersion | undefined },
): void {
  const missing = patterns.unmatched();
  const prefix = filesPrefix(options.ns);
  if (missing.length > 0) {
    throw new SeekfsError(
      'object_not_found',
      `nothing at ${prefix}${missing[0]} in ${deps.store.url}; upload it there first`,
      {
        details: { ns: options.ns, pattern: missing[0]! },
      },
    );
  }
  if (!found.base && found.scan.toRead.length === 0) {
    throw new SeekfsError(
      'object_not_found',
      `nothing under ${prefix} in ${deps.store.url}; upload files there first`,
      {
        details: { ns: options.ns },
      },
    );
  }
}

function changesOf(scan: BucketScan): PlannedChange[] {
  return [
    ...scan.toRead.map(({ path, object, isNew }): PlannedChange => ({
      kind: isNew ? 'added' : 'changed',
      path,
      sizeBytes: object.sizeBytes,
    })),
    ...scan.toRebind.map(({ entry }): PlannedChange => ({
      kind: 'changed',
      path: entry.path,
      sizeBytes: entry.sizeBytes,
    })),
    ...scan.gone.map(({ path, sizeBytes }): PlannedChange => ({ kind: 'removed', path, sizeBytes })),
  ];
}

function reportOf(scan: BucketScan): Pick<GenerateReport, 'shadowed' | 'shadowedCount' | 'skipped' | 'skippedCount'> {
  const { shadowed, shadowedCount, skipped, skippedCount } = scan;
  return { shadowed, shadowedCount, skipped, skippedCount };
}

async function dryReport(
  scan: BucketScan,
  base: PinnedVersion | undefined,
  options: GenerateOptions,
  patterns: PathPatterns,
): Promise<GenerateReport> {
  const changes = changesOf(scan);
  if (options.replace) {
    for await (const { path, sizeBytes } of base?.list() ?? []) {
      if (patterns.match(path) === undefined) changes.push({ kind: 'removed', path, sizeBytes });
    }
  }
  const sums = { added: { files: 0, bytes: 0 }, changed: { files: 0, bytes: 0 }, removed: { files: 0, bytes: 0 } };
  for (const change of changes) {
    sums[change.kind].files += 1;
    sums[change.kind].bytes += change.sizeBytes;
  }
  const { added, changed, removed } = sums;
  const changedOldFiles = changed.files + removed.files;
  const carriedFiles = (base?.fileCount ?? 0) - changedOldFiles;
  let changedOldBytes = removed.bytes;
  for (const { path, isNew } of scan.toRead) if (!isNew) changedOldBytes += (await base!.lookup(path)).sizeBytes;
  for (const { entry } of scan.toRebind) changedOldBytes += entry.sizeBytes;
  const carriedBytes = (base?.totalBytes ?? 0) - changedOldBytes;
  return {
    published: false,
    dryRun: true,
    version: base?.version ?? 0,
    digest: base?.digest ?? '',
    addedFiles: added.files,
    addedBytes: added.bytes,
    changedFiles: changed.files,
    changedBytes: changed.bytes,
    // What it would read may turn out to have the same bytes.
    restatedFiles: 0,
    restatedBytes: 0,
    removedFiles: removed.files,
    removedBytes: removed.bytes,
    carriedFiles,
    carriedBytes,
    fileCount: carriedFiles + added.files + changed.files,
    totalBytes: carriedBytes + added.bytes + changed.bytes,
    readFiles: 0,
    readBytes: 0,
    resumedFiles: 0,
    changes,
    ...reportOf(scan),
  };
}

/** On a version that won a race, only what is still as it was when the bucket was listed is taken out. */
async function planEdit(
  found: {
    readonly scan: BucketScan;
    readonly entries: EntryList;
    readonly base: PinnedVersion | undefined;
    readonly current: PinnedVersion | undefined;
  },
  options: GenerateOptions,
  patterns: PathPatterns,
): Promise<ManifestEdit> {
  const { scan, base, current } = found;
  const { entries: upserts } = found;
  if (options.replace) {
    const left = new EntryList(options.ns, upserts.sorted());
    const replaced = new Set(upserts.paths);
    const gone = new Set(scan.gone.map((entry) => entry.path));
    for await (const entry of current?.list() ?? []) {
      const isLeft = patterns.match(entry.path) !== undefined && !replaced.has(entry.path) && !gone.has(entry.path);
      if (isLeft) left.add(entry);
    }
    return { upserts: left, removals: [], replace: true };
  }
  if (current?.digest === base?.digest) return { upserts, removals: scan.gone.map((entry) => entry.path) };
  const removals: string[] = [];
  for (const old of scan.gone) {
    const now = current && (await findFile(current, old.path));
    if (now?.storage.key === old.storage.key && now.storage.etag === old.storage.etag) removals.push(old.path);
  }
  return { upserts, removals };
}
