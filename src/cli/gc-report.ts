// The two kinds of `gc`, and what they say.
import { systemClock } from '../lib/base/clock.ts';
import { formatBytes } from '../lib/base/units.ts';
import { versionsInUse } from '../lib/cache/reader-registry.ts';
import { nodeDisk } from '../lib/disk/node-disk.ts';
import { collectCache } from '../lib/maintain/cache-gc.ts';
import { collectRemote } from '../lib/manifest/remote-gc.ts';
import type { Session } from './session.ts';
import { plural } from './tables.ts';

export async function cacheGc(
  session: Session,
  options: { readonly ns: string | undefined; readonly dryRun: boolean },
): Promise<void> {
  const { seekfs, config, signal, log, say, document } = session;
  const segmentStore = await session.segmentStore();
  const { path } = config.cache;
  const inUse = await versionsInUse({ disk: nodeDisk, directoryPath: path, clock: systemClock });
  const pin = seekfs.pin.bind(seekfs);
  const { store } = seekfs;
  const report = await collectCache({ disk: nodeDisk, path, store, pin, inUse, segmentStore, log, signal }, options);
  await document({
    path,
    dry_run: report.dryRun,
    dead_bytes: report.deadBytes,
    dead_records: report.deadRecords,
    unknown_namespaces: report.unknownNamespaces,
    freed_bytes: report.freedBytes,
    removed_segments: report.removedSegments,
  });
  say(
    report.dryRun
      ? `${formatBytes(report.deadBytes)} in ${plural(report.deadRecords, 'record')} belong to no version that is needed; nothing was removed (--dry-run)`
      : `${formatBytes(report.freedBytes)} given back, ${plural(report.removedSegments, 'segment')} removed; ` +
          `${formatBytes(report.deadBytes)} belonged to no version that is needed`,
  );
}

export async function remoteGc(
  { seekfs, signal, progress, say, document }: Session,
  options: {
    readonly ns: string;
    readonly keep: number;
    readonly graceMs: number | undefined;
    readonly dryRun: boolean;
  },
): Promise<void> {
  const report = await collectRemote(seekfs.publishing, {
    ...options,
    signal,
    onProgress: ({ objectsDone, objectsTotal }) =>
      progress.update({ doneBytes: 0, note: `${objectsDone} of ${objectsTotal} objects` }),
  });
  progress.stop();
  const { objects, objectBytes, metaObjects, removedVersions, keptVersions, youngVersions } = report;
  await document({
    ns: options.ns,
    dry_run: report.dryRun,
    kept_versions: keptVersions,
    young_versions: youngVersions,
    removed_versions: removedVersions,
    objects,
    object_bytes: objectBytes,
    meta_objects: metaObjects,
    meta_bytes: report.metaBytes,
    stale_intents: report.staleIntents,
    uploads: report.uploads ?? null,
  });
  const names = (versions: readonly number[]): string => versions.map((version) => `v-${version}`).join(', ') || 'none';
  say(`kept: ${names(keptVersions)}`);
  if (youngVersions.length > 0) say(`of them younger than --grace, and kept for that: ${names(youngVersions)}`);
  say(`removed: ${names(removedVersions)}`);
  if (report.uploads === undefined) say('the store does not tell which uploads were begun and not ended');
  const what = `${plural(objects, 'object')} of files (${formatBytes(objectBytes)}), ${plural(metaObjects, 'object')} of manifests, and ${plural(report.uploads ?? 0, 'unfinished upload')}`;
  say(report.dryRun ? `${what} would go; nothing was removed (--dry-run)` : `${what} are gone`);
}
