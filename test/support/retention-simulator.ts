// A simulator of the L2 for retention policies: whole segments, eviction with reinsertion, no bytes. It drives the real
// decisions (Retention, planEviction) over a trace of page numbers, and knows true LRU as the yardstick.
import { seededRandom } from '../../src/lib/base/random.ts';
import { planEviction } from '../../src/lib/cache/policy/eviction.ts';
import { pageHash, type HashedPage, type PageName } from '../../src/lib/cache/policy/page-hash.ts';
import type { RetentionName } from '../../src/lib/cache/policy/policy.ts';
import { Retention } from '../../src/lib/cache/policy/retention.ts';

export type Trace = Uint32Array;

/** Page numbers 0…pages−1, page k drawn with weight 1/(k+1)^exponent. */
export function zipfTrace(options: { pages: number; exponent: number; reads: number; seed: number }): Trace {
  const { pages, exponent, reads, seed } = options;
  const cumulative = new Float64Array(pages);
  let total = 0;
  for (let page = 0; page < pages; page += 1) cumulative[page] = total += (page + 1) ** -exponent;
  const random = seededRandom(seed);
  return Uint32Array.from({ length: reads }, () => {
    const point = random.unit() * total;
    let [low, high] = [0, pages - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulative[middle]! < point) low = middle + 1;
      else high = middle;
    }
    return low;
  });
}

/** Every page once an epoch, each epoch in an order of its own. `firstPage` shifts to another data set. */
export function epochsTrace(options: { pages: number; epochs: number; seed: number; firstPage?: number }): Trace {
  const random = seededRandom(options.seed);
  const order = Uint32Array.from({ length: options.pages }, (_, page) => page + (options.firstPage ?? 0));
  const trace = new Uint32Array(options.pages * options.epochs);
  for (let epoch = 0; epoch < options.epochs; epoch += 1) {
    for (let last = order.length - 1; last > 0; last -= 1) {
      const other = Math.floor(random.unit() * (last + 1));
      [order[last], order[other]] = [order[other]!, order[last]!];
    }
    trace.set(order, epoch * options.pages);
  }
  return trace;
}

export function scanTrace(options: { pages: number; firstPage: number }): Trace {
  return Uint32Array.from({ length: options.pages }, (_, page) => page + options.firstPage);
}

export function concatTraces(...traces: readonly Trace[]): Trace {
  const all = new Uint32Array(traces.reduce((sum, trace) => sum + trace.length, 0));
  let at = 0;
  for (const trace of traces) {
    all.set(trace, at);
    at += trace.length;
  }
  return all;
}

interface SimulatedRecord {
  readonly page: number;
  readonly bytes: number;
}

interface SimulatedSegment {
  readonly fileBytes: number;
  readonly records: SimulatedRecord[];
}

export interface Simulation {
  /** One byte a read of the trace: 1 where the page was stored. */
  readonly hits: Uint8Array;
  readonly admissions: number;
  readonly reinsertions: number;
  readonly residentPagesMax: number;
}

const RECORD_BYTES = 1;
/** As the L2: segments roll at capacity/32. */
const SEGMENTS = 32;

/** The L2 with this policy; capacity in pages of equal size. */
export function simulate(trace: Trace, options: { policy: RetentionName; capacityPages: number }): Simulation {
  const { capacityPages } = options;
  const retention = new Retention({ policyOf: () => options.policy });
  const names = new Map<number, PageName>();
  const nameOf = (page: number): PageName => {
    let name = names.get(page);
    if (!name) {
      name = { ns: 'n', path: `shard-${page >> 4}.tar`, identity: `sha256:${page >> 4}`, pageId: page & 15 };
      names.set(page, name);
    }
    return name;
  };
  const hashedOf = (page: number): HashedPage => ({ ns: 'n', key: pageHash(nameOf(page)) });
  const segmentPages = Math.max(1, Math.floor(capacityPages / SEGMENTS));
  const sealed: SimulatedSegment[] = [];
  let open: SimulatedRecord[] = [];
  const stored = new Set<number>();
  let [admissions, reinsertions, residentPagesMax] = [0, 0, 0];

  const write = (page: number): void => {
    stored.add(page);
    open.push({ page, bytes: RECORD_BYTES });
    if (open.length < segmentPages) return;
    sealed.push({ fileBytes: open.length * RECORD_BYTES, records: open });
    open = [];
  };
  const evictOne = (): void => {
    const plan = planEviction(sealed, (record: SimulatedRecord) => retention.score(hashedOf(record.page)))!;
    sealed.splice(sealed.indexOf(plan.victim), 1);
    const survivors = new Set(plan.survivors);
    for (const record of plan.victim.records) {
      stored.delete(record.page);
      if (!survivors.has(record)) retention.onDrop(hashedOf(record.page));
    }
    for (const { page } of survivors) write(page);
    reinsertions += survivors.size;
  };

  const hits = Uint8Array.from(trace, (page) => {
    const name = nameOf(page);
    if (stored.has(page)) {
      retention.onHit(name);
      return 1;
    }
    retention.onMiss(name);
    const full = stored.size >= capacityPages;
    if (retention.admit(name, { full, residentPages: stored.size }) === 'admit') {
      while (stored.size >= capacityPages) evictOne();
      write(page);
      admissions += 1;
      residentPagesMax = Math.max(residentPagesMax, stored.size);
    }
    return 0;
  });
  return { hits, admissions, reinsertions, residentPagesMax };
}

/** True LRU, page by page: no segments, no sampling. */
export function simulateLru(trace: Trace, capacityPages: number): Uint8Array {
  const stored = new Set<number>();
  return Uint8Array.from(trace, (page) => {
    const hit = stored.delete(page);
    stored.add(page);
    if (stored.size > capacityPages) stored.delete(stored.values().next().value!);
    return hit ? 1 : 0;
  });
}

/** Share of hits of reads [from, to), in percent. */
export function hitPercent(hits: Uint8Array, from = 0, to = hits.length): number {
  let count = 0;
  for (let read = from; read < to; read += 1) count += hits[read]!;
  return (100 * count) / (to - from);
}
