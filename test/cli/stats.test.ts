// The line of `--stats`.
import { expect, test } from 'vitest';
import { statsLine } from '../../src/cli/stats.ts';
import { Metrics } from '../../src/lib/base/metrics.ts';

test('it has exactly the fields that are promised, in one line', () => {
  const metrics = new Metrics();
  metrics.add('seekfs_store_gets_total', 3);
  metrics.add('seekfs_l2_hit_bytes_total', 4096);
  expect(statsLine(metrics, 12.4)).toBe(
    '{"gets":3,"get_bytes":0,"meta_gets":0,"heads":0,"lists":0,"puts":0,"l1_hit_bytes":0,"l2_hit_bytes":4096,' +
      '"pages_fetched":0,"crc_failures":0,"elapsed_ms":12}\n',
  );
});

test('with a price it says what was saved, and what both come to', () => {
  const metrics = new Metrics();
  metrics.add('seekfs_store_gets_total', 1500);
  metrics.add('seekfs_store_meta_gets_total', 500);
  metrics.add('seekfs_store_gets_saved_total', 3000, { by: 'cache' });
  metrics.add('seekfs_store_gets_saved_total', 1000, { by: 'coalescing' });
  const line: unknown = JSON.parse(statsLine(metrics, 1, 0.5));
  expect(line).toMatchObject({ gets: 1500, gets_saved: 4000, cost: 1, cost_saved: 2 });
});

test('a command that failed before anything was opened still has its line', () => {
  expect(JSON.parse(statsLine(undefined, 1))).toMatchObject({ gets: 0, elapsed_ms: 1 });
});
