// The metrics registry: one closed table of names, and counters and gauges cheap enough for the hot path.
// docs/metrics.md lists exactly these rows; a test holds the two together.

type MetricKind = 'counter' | 'gauge' | 'histogram';

interface MetricRow {
  readonly kind: MetricKind;
  readonly help: string;
  /** Names of its labels; none for most. */
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets, ascending, in the unit that ends the name. */
  readonly buckets: readonly number[];
}

/** 50 µs to 30 s: a read from memory and a GET from a slow store are both in the middle of it. */
const SECONDS = [
  0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const;

export const METRIC_TABLE = {
  seekfs_store_gets_total: row('counter', 'GET requests for bytes of files’ objects'),
  seekfs_store_gets_saved_total: row(
    'counter',
    'GETs that were not sent, by what saved them: reads from the cache, joining a fetch under way, coalescing',
    { labels: ['by'] },
  ),
  seekfs_store_get_bytes_total: row('counter', 'bytes of files’ objects that arrived from the store'),
  seekfs_store_cost_total: row(
    'counter',
    'what the GETs of objects and of metadata cost, at s3.price_per_1000_gets; 0 without one',
  ),
  seekfs_store_cost_saved_total: row('counter', 'what the GETs that were not sent would have cost, likewise'),
  seekfs_store_meta_gets_total: row('counter', 'GET requests for HEAD objects, manifests and indexes'),
  seekfs_store_heads_total: row('counter', 'head requests'),
  seekfs_store_lists_total: row('counter', 'LIST requests'),
  seekfs_store_puts_total: row('counter', 'PUT and POST requests that write objects'),
  seekfs_store_deletes_total: row('counter', 'DELETE requests'),
  seekfs_store_retries_total: row('counter', 'requests that were sent again'),
  seekfs_store_hedges_total: row('counter', 'slow GETs that were sent a second time'),
  seekfs_store_hedges_won_total: row('counter', 'GETs that the second request answered first'),
  seekfs_store_throttled_total: row('counter', 'answers of the store that ask to slow down'),
  seekfs_store_refused_total: row(
    'counter',
    'GETs that the budget refused after their deadline or at the day’s ceiling',
  ),
  seekfs_store_get_rate_limit: row(
    'gauge',
    'GETs a second that the budget allows now; lower than configured after throttling',
  ),
  seekfs_store_inflight_gets: row('gauge', 'GETs that are under way'),
  seekfs_store_waiting_gets: row('gauge', 'GETs that wait for the budget or the in-flight cap, by lane', {
    labels: ['lane'],
  }),
  seekfs_l1_hit_bytes_total: row('counter', 'bytes served from memory'),
  seekfs_l1_bytes: row('gauge', 'memory that L1 pins, in whole slabs'),
  seekfs_l1_evictions_total: row('counter', 'granules that left L1 for others or for demand'),
  seekfs_l2_hit_bytes_total: row('counter', 'bytes served from the segmentstore'),
  seekfs_l2_written_bytes_total: row('counter', 'bytes of pages written to the segmentstore'),
  seekfs_l2_declined_total: row('counter', 'runs of granules that the segmentstore did not take, by reason', {
    labels: ['reason'],
  }),
  seekfs_l2_evicted_bytes_total: row('counter', 'bytes of segments that were removed to make room or to compact'),
  seekfs_l2_read_failures_total: row('counter', 'reads that failed on the cache’s disk and went to the store'),
  seekfs_l2_write_failures_total: row('counter', 'writes that failed on the cache’s disk'),
  seekfs_pages_fetched_total: row('counter', 'pages, or parts of them, that were fetched from the store and verified'),
  seekfs_crc_failures_total: row('counter', 'checksums that did not match, in the cache or from the store'),
  seekfs_unchecked_bytes_total: row('counter', 'bytes served of pages that have no checksum'),
  seekfs_http_requests_total: row('counter', 'requests answered, by route and status', { labels: ['route', 'status'] }),
  seekfs_http_request_seconds: row('histogram', 'from the request’s head to the end of its answer, by route', {
    labels: ['route'],
    buckets: SECONDS,
  }),
  seekfs_http_sent_bytes_total: row('counter', 'bytes of answers’ bodies that were handed to the network'),
  seekfs_workers: row(
    'gauge',
    'workers that have answered: of one that died or stands still, what it had counted at its last answer is added',
  ),
  seekfs_http_active_requests: row('gauge', 'requests that are being answered'),
  seekfs_http_connections: row('gauge', 'open connections'),
  seekfs_http_refused_total: row('counter', 'requests refused at a limit or for want of a token, by reason', {
    labels: ['reason'],
  }),
  seekfs_http_aborted_total: row('counter', 'answers broken off, by who did it', { labels: ['by'] }),
  seekfs_hints_total: row('counter', 'ranges taken by POST /hints'),
  seekfs_event_loop_lag_seconds: row('histogram', 'how late the event loop ran a timer', { buckets: SECONDS }),
  seekfs_memory_in_use_bytes: row('gauge', 'bytes of slabs that L1, fetches and answers hold'),
  seekfs_memory_limit_bytes: row('gauge', 'the bound on those bytes'),
  seekfs_memory_waiting: row('gauge', 'demand reads that wait for memory'),
  seekfs_process_resident_bytes: row('gauge', 'resident memory of the process'),
  seekfs_process_cpu_seconds_total: row('counter', 'processor time, user and system'),
  seekfs_process_start_time_seconds: row('gauge', 'when the process started, in Unix seconds'),
} as const satisfies Record<string, MetricRow>;

function row(
  kind: MetricKind,
  help: string,
  more: { labels?: readonly string[]; buckets?: readonly number[] } = {},
): MetricRow {
  return { kind, help, labels: more.labels ?? [], buckets: more.buckets ?? [] };
}

export type MetricName = keyof typeof METRIC_TABLE;

export type Labels = Readonly<Record<string, string>>;

/** A number that only its owner changes: hold on to it, and add to `value` on the hot path. */
export interface Cell {
  value: number;
}

/** Counts by bucket; the last count is of what is over every bound. */
export class Histogram {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.bounds.length && value > this.bounds[bucket]!) bucket += 1;
    this.counts[bucket]! += 1;
    this.sum += value;
  }
}

/** One series as plain JSON, so that it can cross a process boundary and be summed there. */
export interface MetricSample {
  readonly name: MetricName;
  readonly labels: Labels;
  /** Of a counter or gauge. */
  readonly value?: number;
  /** Of a histogram: as in `Histogram`. */
  readonly counts?: readonly number[];
  readonly sum?: number;
}

interface Series {
  readonly name: MetricName;
  readonly labels: Labels;
  readonly cell: Cell | undefined;
  readonly histogram: Histogram | undefined;
}

export class Metrics {
  readonly #series = new Map<string, Series>();
  readonly #collectors = new Set<() => void>();

  /** The one cell of this name and these labels in this registry. */
  cell(name: MetricName, labels: Labels = {}): Cell {
    const { cell } = this.#find(name, labels);
    if (!cell) throw new TypeError(`${name} is a histogram`);
    return cell;
  }

  histogram(name: MetricName, labels: Labels = {}): Histogram {
    const { histogram } = this.#find(name, labels);
    if (!histogram) throw new TypeError(`${name} is no histogram`);
    return histogram;
  }

  add(name: MetricName, amount = 1, labels: Labels = {}): void {
    this.cell(name, labels).value += amount;
  }

  get(name: MetricName, labels: Labels = {}): number {
    return this.#series.get(seriesKey(name, labels))?.cell?.value ?? 0;
  }

  /** Runs before each `samples()`: where gauges that somebody else counts are copied from their owner. */
  onCollect(collect: () => void): () => void {
    this.#collectors.add(collect);
    return () => this.#collectors.delete(collect);
  }

  /** Every series; those of the table without labels are there from the start, at 0. */
  samples(): MetricSample[] {
    for (const collect of this.#collectors) collect();
    for (const name of METRIC_NAMES) if (METRIC_TABLE[name].labels.length === 0) this.#find(name, {});
    return [...this.#series.values()].map(({ name, labels, cell, histogram }) =>
      histogram
        ? { name, labels, counts: [...histogram.counts], sum: histogram.sum }
        : { name, labels, value: cell!.value },
    );
  }

  #find(name: MetricName, labels: Labels): Series {
    const key = seriesKey(name, labels);
    let series = this.#series.get(key);
    if (!series) {
      const { kind, labels: expected, buckets } = METRIC_TABLE[name];
      if (Object.keys(labels).join() !== expected.join()) throw new TypeError(`${name} has labels ${expected.join()}`);
      const histogram = kind === 'histogram' ? new Histogram(buckets) : undefined;
      series = { name, labels, histogram, cell: histogram ? undefined : { value: 0 } };
      this.#series.set(key, series);
    }
    return series;
  }
}

const METRIC_NAMES = Object.keys(METRIC_TABLE) as MetricName[];

function seriesKey(name: MetricName, labels: Labels): string {
  let key: string = name;
  for (const label in labels) key += `,${label}=${labels[label]}`;
  return key;
}
