import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { METRIC_TABLE, Metrics } from '../../../src/lib/base/metrics.ts';
import { encodePrometheus, sumSamples } from '../../../src/lib/base/prometheus.ts';

describe('encodePrometheus', () => {
  test('writes help, type and series, with labels escaped', () => {
    const metrics = new Metrics();
    metrics.add('seekfs_http_requests_total', 3, { route: 'a"b\\c\n', status: '200' });
    const text = encodePrometheus(metrics.samples());
    expect(text).toContain('# TYPE seekfs_http_requests_total counter\n');
    expect(text).toContain('seekfs_http_requests_total{route="a\\"b\\\\c\\n",status="200"} 3\n');
  });

  test('gives cumulative buckets, the sum and the count of a histogram', () => {
    const metrics = new Metrics();
    const histogram = metrics.histogram('seekfs_http_request_seconds', { route: 'blob' });
    for (const value of [0.000_05, 0.000_06, 0.3, 99]) histogram.observe(value);
    const text = encodePrometheus(metrics.samples());
    expect(text).toContain('seekfs_http_request_seconds_bucket{route="blob",le="0.00005"} 1\n');
    expect(text).toContain('seekfs_http_request_seconds_bucket{route="blob",le="0.0001"} 2\n');
    expect(text).toContain('seekfs_http_request_seconds_bucket{route="blob",le="0.5"} 3\n');
    expect(text).toContain('seekfs_http_request_seconds_bucket{route="blob",le="+Inf"} 4\n');
    expect(text).toContain('seekfs_http_request_seconds_count{route="blob"} 4\n');
  });

  test('lists every metric without labels from the start, at 0', () => {
    const text = encodePrometheus(new Metrics().samples());
    for (const [name, { labels }] of Object.entries(METRIC_TABLE)) {
      if (labels.length === 0) expect(text).toContain(`# TYPE ${name} `);
    }
  });
});

test('sumSamples adds counters and histograms of several processes, and keeps the earliest start', () => {
  const [a, b] = [new Metrics(), new Metrics()];
  a.add('seekfs_store_gets_total', 2);
  b.add('seekfs_store_gets_total', 5);
  a.histogram('seekfs_event_loop_lag_seconds').observe(0.001);
  b.histogram('seekfs_event_loop_lag_seconds').observe(0.001);
  a.cell('seekfs_process_start_time_seconds').value = 100;
  b.cell('seekfs_process_start_time_seconds').value = 50;
  const text = encodePrometheus(sumSamples([a.samples(), b.samples()]));
  expect(text).toContain('\nseekfs_store_gets_total 7\n');
  expect(text).toContain('\nseekfs_event_loop_lag_seconds_count 2\n');
  expect(text).toContain('\nseekfs_process_start_time_seconds 50\n');
});

test('docs/metrics.md lists exactly the metrics that exist, with their kinds and labels', () => {
  const text = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8');
  const documented = [...text.matchAll(/^\| `(\w+)` *\|([^|]*)\|([^|]*)\|([^|]*)\|$/gm)].map((cells) =>
    cells.slice(1).map((cell) => cell.trim()),
  );
  const expected = Object.entries(METRIC_TABLE).map(([name, row]) => [
    name,
    row.kind,
    row.labels.map((label) => `\`${label}\``).join(', '),
    row.help,
  ]);
  expect(documented, 'the rows that the table should have').toEqual(expected);
});
