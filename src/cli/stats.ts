// The line that `--stats` prints: what the command cost and what the cache saved, from the metrics registry.
import { getCostsOf } from '../lib/base/get-costs.ts';
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

/** With a price of 1,000 GETs also what was saved, and what both come to. */
export function statsLine(metrics: Metrics | undefined, elapsedMs: number, pricePer1000Gets?: number): string {
  const counts = Object.entries(FIELDS).map(([field, metric]) => [field, metrics?.get(metric) ?? 0]);
  const costs = metrics && pricePer1000Gets !== undefined ? costFields(metrics, pricePer1000Gets) : {};
  return `${JSON.stringify({ ...Object.fromEntries(counts), elapsed_ms: Math.round(elapsedMs), ...costs })}\n`;
}

function costFields(metrics: Metrics, pricePer1000Gets: number): Record<string, number> {
  const { savedGets, cost, costSaved } = getCostsOf(metrics, pricePer1000Gets);
  return { gets_saved: savedGets, cost, cost_saved: costSaved };
}
