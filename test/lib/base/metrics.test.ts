import { describe, expect, test } from 'vitest';
import { METRIC_TABLE, Metrics } from '../../../src/lib/base/metrics.ts';

describe('the metric table', () => {
  test('follows the naming rules of Prometheus: counters end in _total, units are base units', () => {
    for (const [name, { kind, buckets }] of Object.entries(METRIC_TABLE)) {
      expect(name).toMatch(/^seekfs_[a-z0-9_]+$/);
      expect(name.endsWith('_total'), name).toBe(kind === 'counter');
      expect(name).not.toMatch(/_(ms|kib|mib)(_|$)/);
      expect(
        [...buckets].sort((a, b) => a - b),
        name,
      ).toEqual(buckets);
    }
  });
});

describe('Metrics', () => {
  test('one name and one set of labels is one cell', () => {
    const metrics = new Metrics();
    const cell = metrics.cell('seekfs_l2_declined_total', { reason: 'full' });
    cell.value += 2;
    metrics.add('seekfs_l2_declined_total', 3, { reason: 'full' });
    metrics.add('seekfs_l2_declined_total', 1, { reason: 'other' });
    expect(metrics.get('seekfs_l2_declined_total', { reason: 'full' })).toBe(5);
    expect(metrics.get('seekfs_l2_declined_total', { reason: 'none' })).toBe(0);
  });

  test('labels that the table does not name, and the wrong kind, are refused', () => {
    const metrics = new Metrics();
    expect(() => metrics.cell('seekfs_l1_bytes', { reason: 'full' })).toThrow(TypeError);
    expect(() => metrics.cell('seekfs_l2_declined_total')).toThrow(TypeError);
    expect(() => metrics.cell('seekfs_event_loop_lag_seconds')).toThrow(TypeError);
    expect(() => metrics.histogram('seekfs_l1_bytes')).toThrow(TypeError);
  });

  test('a value at a bound counts in its bucket, one over all of them in the last', () => {
    const histogram = new Metrics().histogram('seekfs_event_loop_lag_seconds');
    for (const value of [histogram.bounds[0]!, histogram.bounds[0]! * 1.01, 1e9]) histogram.observe(value);
    expect([histogram.counts[0], histogram.counts[1], histogram.counts.at(-1)]).toEqual([1, 1, 1]);
    expect(histogram.sum).toBeGreaterThan(1e9);
  });

  test('samples start with every series that has no labels, and collectors run before', () => {
    const metrics = new Metrics();
    const stop = metrics.onCollect(() => (metrics.cell('seekfs_memory_waiting').value = 7));
    const values = new Map(metrics.samples().map(({ name, value }) => [name, value]));
    for (const [name, { labels, kind }] of Object.entries(METRIC_TABLE)) {
      if (labels.length === 0 && kind !== 'histogram') {
        expect(values.get(name as 'seekfs_l1_bytes'), name).toBe(name === 'seekfs_memory_waiting' ? 7 : 0);
      }
    }
    stop();
    metrics.cell('seekfs_memory_waiting').value = 1;
    expect(metrics.samples().find(({ name }) => name === 'seekfs_memory_waiting')!.value).toBe(1);
  });
});
