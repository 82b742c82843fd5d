// What publishing commands say: the version that came of it and what changed, as text and as fields of the document.
import { formatBytes } from '../lib/base/units.ts';
import type { PublishReport } from '../lib/manifest/publisher.ts';
import { plural } from './tables.ts';

/** "published v-3 of dev: 3 files added (1.2 MiB), 1 file removed (3 B); 12 files, 4.0 MiB in all". */
export function publishText(ns: string, report: PublishReport): string {
  const total = `${plural(report.fileCount, 'file')}, ${formatBytes(report.totalBytes)} in all`;
  if (!report.published) return `nothing changed: v-${report.version} of ${ns} stays current; ${total}`;
  return `published v-${report.version} of ${ns}: ${changesText(report)}; ${total}`;
}

/** "3 files added (1.2 MiB), 1 file removed (3 B)". */
export function changesText(report: PublishReport): string {
  const change = (files: number, bytes: number, verb: string): string[] =>
    files === 0 ? [] : [`${plural(files, 'file')} ${verb} (${formatBytes(bytes)})`];
  const parts = [
    ...change(report.addedFiles, report.addedBytes, 'added'),
    ...change(report.changedFiles, report.changedBytes, 'changed'),
    ...change(report.restatedFiles, report.restatedBytes, 'of the same bytes in another place or of another time'),
    ...change(report.removedFiles, report.removedBytes, 'removed'),
  ];
  return parts.join(', ') || 'no change';
}

export function publishFields(report: PublishReport): Readonly<Record<string, unknown>> {
  return {
    published: report.published,
    version: report.version,
    digest: report.digest,
    files: report.fileCount,
    bytes: report.totalBytes,
    added_files: report.addedFiles,
    added_bytes: report.addedBytes,
    changed_files: report.changedFiles,
    changed_bytes: report.changedBytes,
    restated_files: report.restatedFiles,
    restated_bytes: report.restatedBytes,
    removed_files: report.removedFiles,
    removed_bytes: report.removedBytes,
    carried_files: report.carriedFiles,
  };
}
