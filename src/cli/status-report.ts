// What `status` says: use and bounds of the cache, and how much of each namespace's current version is in it.
import { isSeekfsError } from '../lib/base/errors.ts';
import { formatBytes } from '../lib/base/units.ts';
import type { CacheUse, NamespaceUse } from '../lib/maintain/status.ts';
import { forecastWarm } from '../lib/maintain/warm.ts';
import type { Session } from './session.ts';
import { bytesForPeople, plural, sheet, table } from './tables.ts';

/** How much of a version is in the cache. */
export interface Residency {
  readonly ns: string;
  readonly version: number;
  readonly bytes: number;
  readonly presentBytes: number;
}

/** Of the version that `--at` names, or the current one; undefined where that cannot be told now. */
export async function residencyOf(session: Session, { ns }: NamespaceUse): Promise<Residency | undefined> {
  const { seekfs, signal, log } = session;
  try {
    const version = await session.pin(ns);
    const deps = { reader: await seekfs.reader(), cache: await seekfs.cache() };
    const { bytes, missingBytes } = await forecastWarm(deps, { version, patterns: [], signal });
    return { ns, version: version.version, bytes, presentBytes: bytes - missingBytes };
  } catch (error) {
    if (isSeekfsError(error, 'interrupted')) throw error;
    log.log('warn', `how much of ${ns} is here cannot be told: ${(error as Error).message}`);
    return undefined;
  }
}

export function statusFields(use: CacheUse, residency: readonly Residency[]): Readonly<Record<string, unknown>> {
  return {
    path: use.path,
    exists: use.exists,
    capacity_bytes: use.capacityBytes,
    used_bytes: use.usedBytes,
    reserved_bytes: use.reservedBytes,
    free_bytes: use.space?.freeBytes ?? null,
    segments: use.segments,
    open_segments: use.openSegments,
    records: use.records,
    namespaces: use.namespaces.map(({ ns, files, bytes }) => {
      const found = residency.find((version) => version.ns === ns);
      const version = found && { version: found.version, bytes: found.bytes, present_bytes: found.presentBytes };
      return { ns, files, cached_bytes: bytes, version: version ?? null };
    }),
  };
}

export function statusText(use: CacheUse, residency: readonly Residency[]): string {
  const share = use.capacityBytes === 0 ? '' : `, ${((use.usedBytes / use.capacityBytes) * 100).toFixed(1)} %`;
  const facts = sheet({
    cache: use.exists ? use.path : `${use.path} (nothing was kept yet)`,
    used: `${bytesForPeople(use.usedBytes)} of ${formatBytes(use.capacityBytes)}${share}`,
    reserved: use.reservedBytes === 0 ? undefined : bytesForPeople(use.reservedBytes),
    free: use.space && `${formatBytes(use.space.freeBytes)} on its file system`,
    segments: `${use.segments}, ${use.openSegments} of them being written`,
    records: use.records,
  });
  if (use.namespaces.length === 0) return facts;
  const rows = use.namespaces.map(({ ns, files, bytes }) => {
    const found = residency.find((version) => version.ns === ns);
    const percent = found && (found.bytes === 0 ? 100 : (found.presentBytes / found.bytes) * 100);
    const version = found ? `v-${found.version}: ${percent!.toFixed(1)} % of ${formatBytes(found.bytes)}` : 'unknown';
    return [ns, formatBytes(bytes), plural(files, 'file'), version];
  });
  return `${facts}\n\n${table([['namespace', 'cached', 'files', 'of the version'], ...rows], [1, 2])}`;
}
