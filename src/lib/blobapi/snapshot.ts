// What one worker knows, as plain JSON that crosses between processes: for /metrics and the status page.
import type { MetricSample } from '../base/metrics.ts';

export interface Snapshot {
  readonly samples: readonly MetricSample[];
}
