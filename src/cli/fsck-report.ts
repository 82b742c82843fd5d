// What `fsck` does in its two places, and what it says of them.
import { formatBytes } from '../lib/base/units.ts';
import { checkSegmentStore, type CheckReport, type Finding } from '../lib/cache/check.ts';
import { nodeDisk } from '../lib/disk/node-disk.ts';
import { verifyBucket, type BucketFinding } from '../lib/manifest/verify-bucket.ts';
import type { Session } from './session.ts';
import { plural } from './tables.ts';

const FINDINGS_SHOWN_MAX = 1000;

export interface CacheCheck {
  readonly found: CheckReport;
  readonly problems: number;
  /** After the repair, where one was asked for. */
  readonly problemsLeft: number;
  readonly repaired: boolean;
}

export interface BucketCheck {
  readonly ns: string;
  readonly version: number;
  readonly files: number;
  readonly bytes: number;
  readonly problems: number;
  readonly findings: readonly BucketFinding[];
}

const problemsOf = ({ findings }: CheckReport): Finding[] => findings.filter(({ severity }) => severity === 'problem');

export async function checkCache(
  { seekfs, config, signal, progress }: Session,
  options: { readonly deep: boolean; readonly repair: boolean },
): Promise<CacheCheck> {
  const directoryPath = config.cache.path;
  const check = (): Promise<CheckReport> =>
    checkSegmentStore({
      disk: nodeDisk,
      directoryPath,
      deep: options.deep,
      signal,
      onProgress: (state) => progress.update({ ...state, note: 'cache' }),
    });
  const found = await check();
  const problems = problemsOf(found);
  const segmentStore = options.repair && problems.length > 0 ? await seekfs.segmentStore() : undefined;
  if (!segmentStore) {
    return { found, problems: problems.length, problemsLeft: problems.length, repaired: false };
  }
  await segmentStore.maintenance.repair(problems);
  const left = problemsOf(await check()).length;
  return { found, problems: problems.length, problemsLeft: left, repaired: true };
}

export async function checkBucket(
  session: Session,
  { ns, deep }: { readonly ns: string; readonly deep: boolean },
): Promise<BucketCheck> {
  const { seekfs, signal, progress } = session;
  const version = await session.pin(ns);
  const findings: BucketFinding[] = [];
  const result = await verifyBucket({ store: seekfs.store }, version, {
    deep,
    signal,
    onFinding: (finding) => findings.length < FINDINGS_SHOWN_MAX && findings.push(finding),
    onProgress: ({ bytesDone, bytesTotal, filesDone, filesTotal }) =>
      progress.update({
        doneBytes: bytesDone,
        totalBytes: deep ? bytesTotal : undefined,
        note: `${filesDone} of ${filesTotal} files`,
      }),
  });
  const { files, bytes } = result;
  return { ns, version: version.version, files, bytes, problems: result.findings, findings };
}

export function fsckFields(
  { found, problems, problemsLeft, repaired }: CacheCheck,
  bucket: BucketCheck | undefined,
): Readonly<Record<string, unknown>> {
  return {
    cache: {
      segments: found.segments,
      records: found.records,
      payload_bytes: found.payloadBytes,
      checked_bytes: found.checkedBytes,
      problems,
      repaired,
      problems_left: problemsLeft,
      findings: found.findings.map(({ kind, severity, file, start, end, page, detail }) => ({
        kind,
        severity,
        file,
        start,
        end,
        page: page ? { ns: page.ns, path: page.path, page_id: page.pageId } : null,
        detail,
      })),
    },
    bucket: bucket ?? null,
  };
}

export function sayFindings(session: Session, cache: CacheCheck, bucket: BucketCheck | undefined): void {
  const { say } = session;
  const { found, problems, problemsLeft, repaired } = cache;
  for (const { severity, kind, file, start, end, page, detail } of found.findings.slice(0, FINDINGS_SHOWN_MAX)) {
    const lost = page ? ` (page ${page.pageId} of ${page.path})` : '';
    say(`${severity}: ${kind} in ${file} at ${start} to ${end}: ${detail}${lost}`);
  }
  const repair = repaired ? `; repaired, ${plural(problemsLeft, 'problem')} left` : '';
  const size = `${plural(found.segments, 'segment')}, ${plural(found.records, 'record')}, ${formatBytes(found.payloadBytes)}`;
  say(`cache: ${size}, ${formatBytes(found.checkedBytes)} of it read; ${plural(problems, 'problem')}${repair}`);
  if (bucket) sayBucket(session, bucket);
}

export function sayBucket({ say }: Session, bucket: BucketCheck): void {
  for (const { kind, path, key, expected, actual } of bucket.findings) {
    say(`problem: ${kind} of ${key}, which has ${path}: expected ${expected}, found ${actual}`);
  }
  const files = `${plural(bucket.files, 'file')}, ${formatBytes(bucket.bytes)}`;
  say(`bucket: v-${bucket.version} of ${bucket.ns}: ${files}; ${plural(bucket.problems, 'problem')}`);
}
