// What `warm` says: the document of --json and the text for people, for each of its three ways.
import { SeekfsError } from '../lib/base/errors.ts';
import { formatBytes } from '../lib/base/units.ts';
import type { PinnedVersion } from '../lib/manifest/types.ts';
import type { WarmCheckReport, WarmForecast, WarmReport } from '../lib/maintain/warm.ts';
import type { Session } from './session.ts';
import { plural } from './tables.ts';

/** `after`: what is still missing, which is what the cache had no room for. */
export async function reportWarm(
  { seekfs, progress, say, document, log }: Session,
  version: PinnedVersion,
  report: WarmReport,
  after: WarmForecast,
): Promise<void> {
  progress.stop();
  refuseUnmatched(version, report.unmatched);
  const gets = seekfs.metrics.get('seekfs_store_gets_total');
  const presentBytes = report.bytes - after.missingBytes;
  await document({
    ns: version.ns,
    version: version.version,
    files: report.files,
    bytes: report.bytes,
    present_bytes: presentBytes,
    fetched_bytes: report.fetchedBytes,
    gets,
  });
  say(
    `v-${version.version} of ${version.ns}: ${formatBytes(presentBytes)} of ${formatBytes(report.bytes)} in ` +
      `${plural(report.files, 'file')} are in the cache; ${formatBytes(report.fetchedBytes)} fetched with ${plural(gets, 'GET')}`,
  );
  if (after.missingBytes > 0) {
    log.log(
      'warn',
      `the cache had no room for ${formatBytes(after.missingBytes)}; raise cache.l2_ssd_gib, or warm less`,
    );
  }
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
