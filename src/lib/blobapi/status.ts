// GET /status.json: the state of all workers in the terms of the status page. Nothing here costs a request to the store.
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { MetricName, MetricSample } from '../base/metrics.ts';
import { sumSamples } from '../base/prometheus.ts';
import { findFile } from '../manifest/find-file.ts';
import type { FileEntry, PinnedVersion } from '../manifest/types.ts';
import { SLAB_BYTES } from '../base/memory.ts';
import type { Reader } from '../read/reader.ts';
import { sumActivity, type FileActivity } from './activity.ts';
import type { StatusBounds } from './deps.ts';
import type { Snapshot } from './snapshot.ts';

/** Files on the page, and cells of a file's heat map. */
const FILES_MAX = 24;
const CELLS_MAX = 48;
const ERRORS_MAX = 20;

export interface StatusDeps {
  readonly bounds: StatusBounds;
  readonly reader: () => MaybePromise<Reader>;
  /** The current version; undefined where it cannot be opened. */
  readonly current: (ns: string) => Promise<PinnedVersion | undefined>;
  readonly nowMs: () => number;
}

function valueOf(samples: readonly MetricSample[], name: MetricName): number {
  return samples.filter((sample) => sample.name === name).reduce((sum, sample) => sum + (sample.value ?? 0), 0);
}

/** GETs that were not sent, by what saved them. */
function savedGets(samples: readonly MetricSample[]): Readonly<Record<string, number>> {
  const saved: Record<string, number> = { cache: 0, single_flight: 0, coalescing: 0 };
  for (const { name, labels, value = 0 } of samples) {
    if (name === 'seekfs_store_gets_saved_total') saved[labels['by']!] = value;
  }
  return saved;
}

/** How much of each cell of the file is in the cache, 0 to 1. Cells are whole granules, of which a slab holds one. */
async function residency(reader: Reader, version: PinnedVersion, entry: FileEntry): Promise<number[]> {
  const cellBytes = Math.max(1, Math.ceil(Math.ceil(entry.sizeBytes / CELLS_MAX) / SLAB_BYTES)) * SLAB_BYTES;
  const cells: number[] = [];
  for (let off = 0; off < entry.sizeBytes; off += cellBytes) {
    const range = { off, len: Math.min(cellBytes, entry.sizeBytes - off) };
    const { bytes } = await reader.planWarm(version, [{ entry, range }]);
    cells.push(Math.round(100 * (1 - Math.min(1, bytes / range.len))) / 100);
  }
  return cells;
}

/** The files that were read most, then others of the current versions, so that an idle server shows something, too. */
async function shownFiles(
  deps: StatusDeps,
  namespaces: readonly string[],
  activity: readonly FileActivity[],
): Promise<unknown[]> {
  const wanted = new Map(activity.slice(0, FILES_MAX).map((file) => [`${file.ns}\0${file.path}`, file]));
  for (const ns of namespaces) {
    const version = await deps.current(ns);
    if (!version) continue;
    for await (const { path } of version.list()) {
      if (wanted.size >= FILES_MAX) break;
      const key = `${ns}\0${path}`;
      if (!wanted.has(key)) wanted.set(key, { ns, path, reads: 0, readBytes: 0 });
    }
  }
  const reader = await deps.reader();
  const files: unknown[] = [];
  for (const { ns, path, reads, readBytes } of wanted.values()) {
    const version = await deps.current(ns);
    const entry = version && (await findFile(version, path).catch(() => undefined));
    if (!version || !entry) continue;
    const cells = await residency(reader, version, entry);
    files.push({ ns, path, bytes: entry.sizeBytes, reads, read_bytes: readBytes, cells });
  }
  return files;
}

export async function statusOf(snapshots: readonly Snapshot[], deps: StatusDeps): Promise<unknown> {
  const samples = sumSamples(snapshots.map((snapshot) => snapshot.samples));
  const of = (name: MetricName): number => valueOf(samples, name);
  const { bounds } = deps;
  const versions = new Map(snapshots.flatMap((snapshot) => snapshot.versions).map((version) => [version.ns, version]));
  const l2 = await bounds.l2();
  const dataBytes = [...versions.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  const cacheBytes = Math.max(l2?.capacityBytes ?? 0, bounds.l1BytesMax);
  const saved = savedGets(samples);
  const costOf = (name: MetricName): number | null => (bounds.pricePer1000Gets === undefined ? null : of(name));
  const errors = snapshots.flatMap((snapshot) => snapshot.errors).sort((a, b) => b.atMs - a.atMs);
  return {
    at_ms: deps.nowMs(),
    workers: of('seekfs_workers'),
    store: bounds.store,
    cache: bounds.cache ?? null,
    started_s: of('seekfs_process_start_time_seconds'),
    requests: of('seekfs_http_requests_total'),
    active: of('seekfs_http_active_requests'),
    connections: of('seekfs_http_connections'),
    sent_bytes: of('seekfs_http_sent_bytes_total'),
    l1_hit_bytes: of('seekfs_l1_hit_bytes_total'),
    l2_hit_bytes: of('seekfs_l2_hit_bytes_total'),
    store_bytes: of('seekfs_store_get_bytes_total'),
    gets: of('seekfs_store_gets_total'),
    gets_saved: of('seekfs_store_gets_saved_total'),
    gets_saved_by: saved,
    /** In the currency of the configured price; null without one. */
    cost: costOf('seekfs_store_cost_total'),
    cost_saved: costOf('seekfs_store_cost_saved_total'),
    get_budget_per_sec: bounds.getBudgetPerSec ?? null,
    crc_failures: of('seekfs_crc_failures_total'),
    /** Over shuffled epochs of what is published, for a cache of this size; null where nothing was asked for yet. */
    best_hit_rate: dataBytes === 0 ? null : Math.min(1, cacheBytes / dataBytes),
    memory: {
      used: of('seekfs_memory_in_use_bytes'),
      max: of('seekfs_memory_limit_bytes'),
      waiting: of('seekfs_memory_waiting'),
    },
    resident_bytes: of('seekfs_process_resident_bytes'),
    l1: { used: of('seekfs_l1_bytes'), max: bounds.l1BytesMax },
    l2: l2 ? { used: l2.usedBytes, max: l2.capacityBytes } : null,
    versions: [...versions.values()].sort((a, b) => (a.ns < b.ns ? -1 : 1)),
    files: await shownFiles(deps, [...versions.keys()], sumActivity(snapshots.map((snapshot) => snapshot.activity))),
    errors: errors.slice(0, ERRORS_MAX),
  };
}
