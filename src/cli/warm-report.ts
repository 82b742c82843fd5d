// What `warm` says: the document of --json and the text for people, for each of its three ways.
import { SeekfsError } from '../lib/base/errors.ts';
import { formatBytes } from '../lib/base/units.ts';
import type { PinnedVersion } from '../lib/manifest/types.ts';
import type { WarmCheckReport, WarmForecast, WarmReport } from '../lib/maintain/warm.ts';
import type { Session } from './session.ts';
import { plural } from './tables.ts';

/** Why L2 declines a run of granules, and what to do about it. */
const DECLINED = {
  room: 'the cache has no room for it; raise cache.l2_ssd_gib, or warm less',
  policy: 'the cache is full and keeps what it has; raise cache.l2_ssd_gib, or warm less',
  quota: 'the namespace has reached its quota; raise cache.namespace_quota_gib, or warm less',
  size: 'the cache cannot be used, or is too small for its pages; see the warnings above, or raise cache.l2_ssd_gib',
  disk: 'the disk of the cache refused it; see the warnings above',
  stalled: 'the disk of the cache stood still; run it again',
} as const;

export async function reportWarm(
  { seekfs, progress, say, document, log, setStatus }: Session,
  version: PinnedVersion,
  report: WarmReport,
): Promise<void> {
  progress.stop();
  refuseUnmatched(version, report.unmatched);
  const gets = seekfs.metrics.get('seekfs_store_gets_total');
  const presentBytes = report.bytes - report.missingBytes;
  await document({
    ns: version.ns,
    version: version.version,
    files: report.files,
    bytes: report.bytes,
    present_bytes: presentBytes,
    fetched_bytes: report.fetchedBytes,
    missing_pages: report.missingPages,
    missing_bytes: report.missingBytes,
    missing_paths: report.missingPaths,
    gets,
  });
  say(
    `v-${version.version} of ${version.ns}: ${formatBytes(presentBytes)} of ${formatBytes(report.bytes)} in ` +
      `${plural(report.files, 'file')} are in the cache; ${formatBytes(report.fetchedBytes)} fetched with ${plural(gets, 'GET')}`,
  );
  if (report.missingPages === 0) return;
  const declined = (reason: string): number => seekfs.metrics.get('seekfs_l2_declined_total', { reason });
  const reasons = Object.entries(DECLINED).filter(([reason]) => declined(reason) > 0);
  const evicted = seekfs.metrics.get('seekfs_l2_evicted_bytes_total') > 0;
  const unexplained = evicted ? DECLINED.room : 'it was removed meanwhile; run it again';
  const why = reasons.map(([, text]) => text).join('; ') || unexplained;
  const { missingPages, missingBytes, missingPaths } = report;
  log.log('error', `${formatBytes(missingBytes)} in ${plural(missingPages, 'page')} are not in the cache: ${why}`);
  for (const path of missingPaths) say(`missing: ${path}`);
  // As `--check` would say of it: reads will go through the store, but who asked for the cache did not get it.
  setStatus('problems_found');
}

export async function reportCheck(session: Session, version: PinnedVersion, check: WarmCheckReport): Promise<void> {
  const { progress, say, document, setStatus } = session;
  progress.stop();
  refuseUnmatched(version, check.unmatched);
  await document({
    ns: version.ns,
    version: version.version,
    files: check.files,
    bytes: check.bytes,
    pages: check.pages,
    intact_pages: check.intactPages,
    missing_pages: check.missingPages,
    partial_pages: check.partialPages,
    damaged_pages: check.damagedPages,
    findings: check.findings.map(({ path, pageId, kind }) => ({ path, page_id: pageId, kind })),
  });
  say(
    `v-${version.version} of ${version.ns}: ${check.intactPages} of ${plural(check.pages, 'page')} are here and intact; ` +
      `${check.missingPages} missing, ${check.partialPages} here in part, ${check.damagedPages} damaged`,
  );
  for (const { path, pageId, kind } of check.findings) say(`${kind}: page ${pageId} of ${path}`);
  if (check.intactPages < check.pages) setStatus('problems_found');
}

export async function reportForecast(session: Session, version: PinnedVersion, plan: WarmForecast): Promise<void> {
  const { progress, say, document } = session;
  progress.stop();
  refuseUnmatched(version, plan.unmatched);
  await document({
    ns: version.ns,
    version: version.version,
    files: plan.files,
    bytes: plan.bytes,
    missing_pages: plan.missingPages,
    missing_bytes: plan.missingBytes,
    gets: plan.gets,
    cost: plan.cost,
  });
  say(
    `v-${version.version} of ${version.ns}: ${plural(plan.missingPages, 'page')} of ${plural(plan.files, 'file')} are missing: ` +
      `${formatBytes(plan.missingBytes)} with ${plural(plan.gets, 'GET')}` +
      (plan.cost === undefined ? '' : `, which cost ${plan.cost.toPrecision(3)}`),
  );
}

/** One outcome a command: what did match was done all the same, and running it again costs nothing. */
function refuseUnmatched({ ns, version }: PinnedVersion, unmatched: readonly string[]): void {
  if (unmatched.length === 0) return;
  throw new SeekfsError(
    'path_not_found',
    `version ${version} of ${ns} has no file that ${unmatched.join(', ')} stands for; a directory is written with a slash at its end`,
    { details: { ns, version, path: unmatched[0]! } },
  );
}
