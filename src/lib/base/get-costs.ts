// What the GETs of a process cost, and what was saved, from its metrics and the price of 1,000 GETs. For `--stats`,
// `/metrics` and the status page, which so agree.
import type { Metrics } from './metrics.ts';

const SAVED_BY = ['cache', 'single_flight', 'coalescing'] as const;

export interface GetCosts {
  /** GETs that were not sent. */
  readonly savedGets: number;
  /** In the currency of the price, those of HEAD, manifests and indexes included. */
  readonly cost: number;
  readonly costSaved: number;
}

export function getCostsOf(metrics: Metrics, pricePer1000Gets: number): GetCosts {
  const gets = metrics.get('seekfs_store_gets_total') + metrics.get('seekfs_store_meta_gets_total');
  const savedGets = SAVED_BY.reduce((sum, by) => sum + metrics.get('seekfs_store_gets_saved_total', { by }), 0);
  const costOf = (count: number): number => (count / 1000) * pricePer1000Gets;
  return { savedGets, cost: costOf(gets), costSaved: costOf(savedGets) };
}
