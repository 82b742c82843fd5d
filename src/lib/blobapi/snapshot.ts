// What one worker knows, as plain JSON that crosses between processes: for /metrics, /advisor and the status page.
import type { MetricSample } from '../base/metrics.ts';
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
