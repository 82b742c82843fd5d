// What `advisor` says: the document of --json and the text for people.
import { formatBytes, formatDuration } from '../lib/base/units.ts';
import type { EpochAssumptions, EpochForecast, EpochPlan } from '../lib/maintain/advisor.ts';
import type { PinnedVersion } from '../lib/manifest/types.ts';
import type { Session } from './session.ts';
import { plural } from './tables.ts';

function line(name: string, plan: EpochPlan): string {
  const cost = plan.cost === undefined ? '' : `, cost ${plan.cost.toFixed(4)}`;
  const time = formatDuration(plan.seconds * 1000);
  return `${name}: ${plural(plan.gets, 'GET')}, ${formatBytes(plan.bytes)} from the store, at least ${time}${cost}`;
}

const fields = ({ gets, bytes, seconds, cost }: EpochPlan): object => ({ gets, bytes, seconds, cost: cost ?? null });

export async function reportEpochs(
  { say, document }: Session,
  version: PinnedVersion,
  { cacheBytes }: EpochAssumptions,
  forecast: EpochForecast,
): Promise<void> {
  await document({
    ns: version.ns,
    version: version.version,
    cache_bytes: cacheBytes,
    files: forecast.files,
    extents: forecast.extents,
    read_bytes: forecast.readBytes,
    distinct_bytes: forecast.distinctBytes,
    cached_bytes: forecast.cachedBytes,
    first_epoch: fields(forecast.first),
    later_epochs: fields(forecast.later),
  });
  const { distinctBytes, cachedBytes } = forecast;
  const share = distinctBytes === 0 ? 100 : (100 * cachedBytes) / distinctBytes;
  say(
    `v-${version.version} of ${version.ns}: ${plural(forecast.extents, 'extent')} in ${plural(forecast.files, 'file')}, ` +
      `${formatBytes(forecast.readBytes)} to read, ${formatBytes(distinctBytes)} of it distinct\n` +
      `a cache of ${formatBytes(cacheBytes)} keeps ${formatBytes(cachedBytes)} (${share.toFixed(0)} %)\n` +
      `${line('first epoch', forecast.first)}\n${line('each later one', forecast.later)}`,
  );
}
