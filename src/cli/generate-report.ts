// What `manifest gen` says: the version, what was read for it, what changed, and what was passed over.
import { formatBytes } from '../lib/base/units.ts';
import type { GenerateReport } from '../lib/manifest/generate.ts';
import { changesText, publishFields, publishText } from './publish-report.ts';
import type { Session } from './session.ts';
import { plural, table } from './tables.ts';

const CHANGES_SHOWN = 50;

export function generateFields(ns: string, report: GenerateReport): Readonly<Record<string, unknown>> {
  return {
    ns,
    dry_run: report.dryRun,
    ...publishFields(report),
    read_files: report.readFiles,
    read_bytes: report.readBytes,
    resumed_files: report.resumedFiles,
    changes: report.changes.map(({ kind, path, sizeBytes }) => ({ kind, path, size: sizeBytes })),
    shadowed: report.shadowed,
    shadowed_count: report.shadowedCount,
    skipped: report.skipped,
    skipped_count: report.skippedCount,
  };
}

export function showGenerated({ say, log }: Session, ns: string, report: GenerateReport): void {
  for (const { key, reason } of report.skipped) log.log('warn', `passed over the object ${key}: ${reason}`);
  if (report.shadowedCount > 0) {
    log.log(
      'warn',
      `${plural(report.shadowedCount, 'object')} under the names of files that put made stay unpublished, such as ${report.shadowed[0]}`,
    );
  }
  if (report.dryRun) {
    const shown = report.changes.slice(0, CHANGES_SHOWN);
    if (shown.length > 0)
      say(
        table(
          shown.map(({ kind, path, sizeBytes }) => [kind, String(sizeBytes), path]),
          [1],
        ),
      );
    if (report.changes.length > shown.length) say(`and ${report.changes.length - shown.length} more`);
    say(`${changesText(report)}; nothing was published (--dry-run)`);
    return;
  }
  const resumed =
    report.resumedFiles > 0 ? `, ${plural(report.resumedFiles, 'file')} known from an interrupted run` : '';
  say(`read ${plural(report.readFiles, 'object')}, ${formatBytes(report.readBytes)}${resumed}`);
  say(publishText(ns, report));
}
