// What one worker knows, as plain JSON that crosses between processes: for /metrics, /advisor and the status page.
import { METRIC_TABLE, type MetricSample } from '../base/metrics.ts';
import { sumSamples } from '../base/prometheus.ts';
import type { RecentError } from './accounting.ts';
import type { FileActivity } from './activity.ts';

export interface OpenVersion {
  readonly ns: string;
  readonly version: number;
  readonly digest: string;
  readonly files: number;
  readonly bytes: number;
}

export interface Snapshot {
  readonly samples: readonly MetricSample[];
  /** The most read first. */
  readonly activity: readonly FileActivity[];
  /** Newest first. */
  readonly errors: readonly RecentError[];
  /** Current versions that were asked for. */
  readonly versions: readonly OpenVersion[];
}

/** What stays of workers that have died: what they counted. Gauges, errors and versions went with them. */
export function remainsOf(snapshots: readonly Snapshot[]): Snapshot {
  const counted = snapshots.map(({ samples }) => samples.filter(({ name }) => METRIC_TABLE[name].kind !== 'gauge'));
  return { samples: sumSamples(counted), activity: [], errors: [], versions: [] };
}
