// The line that `--stats` prints: what the command cost and what the cache saved, from the metrics registry.
import type { Metrics } from '../lib/base/metrics.ts';

/** Fields of the line, in its order; `elapsed_ms` comes last. */
const FIELDS = {
  gets: 'seekfs_store_gets_total',
  get_bytes: 'seekfs_store_get_bytes_total',
  meta_gets: 'seekfs_store_meta_gets_total',
  heads: 'seekfs_store_heads_total',
  lists: 'seekfs_store_lists_total',
  puts: 'seekfs_store_puts_total',
  l1_hit_bytes: 'seekfs_l1_hit_bytes_total',
  l2_hit_bytes: 'seekfs_l2_hit_bytes_total',
  pages_fetched: 'seekfs_pages_fetched_total',
  crc_failures: 'seekfs_crc_failures_total',
} as const;

export function statsLine(metrics: Metrics | undefined, elapsedMs: number): string {
  const counts = Object.entries(FIELDS).map(([field, metric]) => [field, metrics?.get(metric) ?? 0]);
  return `${JSON.stringify({ ...Object.fromEntries(counts), elapsed_ms: Math.round(elapsedMs) })}\n`;
}
