// The metrics registry: one closed table of names, and counters and gauges cheap enough for the hot path.
// docs/metrics.md lists exactly these rows; a test holds the two together.

type MetricKind = 'counter' | 'gauge' | 'histogram';

interface MetricRow {
  readonly kind: MetricKind;
  readonly help: string;
}

export const METRIC_TABLE = {
  seekfs_store_gets_total: row('counter', 'GET requests for bytes of files’ objects'),
  seekfs_store_get_bytes_total: row('counter', 'bytes of files’ objects that arrived from the store'),
  seekfs_store_meta_gets_total: row('counter', 'GET requests for HEAD objects, manifests and indexes'),
  seekfs_store_heads_total: row('counter', 'head requests'),
  seekfs_store_lists_total: row('counter', 'LIST requests'),
  seekfs_store_puts_total: row('counter', 'PUT and POST requests that write objects'),
  seekfs_store_deletes_total: row('counter', 'DELETE requests'),
  seekfs_store_retries_total: row('counter', 'requests that were sent again'),
  seekfs_l1_hit_bytes_total: row('counter', 'bytes served from memory'),
  seekfs_l1_bytes: row('gauge', 'memory that L1 pins, in whole slabs'),
  seekfs_l1_evictions_total: row('counter', 'granules that left L1 for others or for demand'),
  seekfs_l2_hit_bytes_total: row('counter', 'bytes served from the segmentstore'),
  seekfs_pages_fetched_total: row('counter', 'pages, or parts of them, that were fetched from the store and verified'),
  seekfs_crc_failures_total: row('counter', 'checksums that did not match, in the cache or from the store'),
  seekfs_unchecked_bytes_total: row('counter', 'bytes served of pages that have no checksum'),
} as const satisfies Record<string, MetricRow>;

function row(kind: MetricKind, help: string): MetricRow {
  return { kind, help };
}

export type MetricName = keyof typeof METRIC_TABLE;

/** A number that only its owner changes: hold on to it, and add to `value` on the hot path. */
export interface Cell {
  value: number;
}

export class Metrics {
  readonly #cells = new Map<MetricName, Cell>();

  /** The one cell of this name in this registry. */
  cell(name: MetricName): Cell {
    let cell = this.#cells.get(name);
    if (!cell) this.#cells.set(name, (cell = { value: 0 }));
    return cell;
  }

  add(name: MetricName, amount = 1): void {
    this.cell(name).value += amount;
  }

  get(name: MetricName): number {
    return this.#cells.get(name)?.value ?? 0;
  }
}
