import { expect, test } from 'vitest';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { remainsOf, type Snapshot } from '../../../src/lib/blobapi/snapshot.ts';

function snapshot(fill: (metrics: Metrics) => void): Snapshot {
  const metrics = new Metrics();
  fill(metrics);
  const error = { atMs: 0, requestId: 'a-1', route: 'blob', code: 'unexpected', message: 'lost' };
  return {
    samples: metrics.samples(),
    activity: [{ ns: 'dev', path: 'a', reads: 1, readBytes: 1 }],
    errors: [error],
    versions: [],
  };
}

test('of workers that have died stays what they counted, added up, and nothing that was so only while they lived', () => {
  const first = snapshot((metrics) => {
    metrics.add('seekfs_l1_hit_bytes_total', 5);
    metrics.cell('seekfs_http_connections').value = 3;
  });
  const second = snapshot((metrics) => {
    metrics.add('seekfs_l1_hit_bytes_total', 7);
    metrics.histogram('seekfs_event_loop_lag_seconds').observe(0);
  });
  const remains = remainsOf([remainsOf([first]), second]);
  const valueOf = (name: string): number | undefined => remains.samples.find((sample) => sample.name === name)?.value;
  expect(valueOf('seekfs_l1_hit_bytes_total')).toBe(12);
  expect(valueOf('seekfs_http_connections')).toBeUndefined();
  const lag = remains.samples.find(({ name }) => name === 'seekfs_event_loop_lag_seconds');
  expect(lag?.counts?.reduce((sum, count) => sum + count, 0)).toBe(1);
  expect(remains).toMatchObject({ activity: [], errors: [], versions: [] });
});
