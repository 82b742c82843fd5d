// The read plan: which GETs bring the missing granules. Pure. Spans are coalesced in object space, so neighbours
// that a pack put side by side share a GET; within the limits no set of GETs is smaller.
import { GRANULE_BYTES, granuleLength, type GranuleSpan } from '../page/page.ts';
import { MIB } from '../base/units.ts';
import type { FilePage } from './pages.ts';

const WIDE_GAP_BYTES_MIN = MIB;

export interface PlanLimits {
  /** A GET asks for at most this many bytes, but always for one granule (or page, where only that can be verified). */
  readonly getBytesMax: number;
  /** Bytes between two spans that a GET may fetch and drop rather than be two. */
  readonly gapBytesMax: number;
  /** Spans are never cut: each is in one GET, however long. */
  readonly atomic?: boolean | undefined;
}

/** Where GETs are what is short: bytes for requests. */
export function widened(limits: PlanLimits): PlanLimits {
  return { ...limits, gapBytesMax: Math.max(4 * limits.gapBytesMax, WIDE_GAP_BYTES_MIN) };
}

/** Granules of one page that are wanted from the store. */
export interface WantedSpan {
  readonly filePage: FilePage;
  readonly span: GranuleSpan;
  /** By granule: how early it is needed. Default: all of it as early as its place among what is wanted says. */
  readonly needs?: ReadonlyMap<number, number> | undefined;
}

export interface PlannedPart<W extends WantedSpan = WantedSpan> {
  /** What it is part of, or all of. */
  readonly want: W;
  readonly span: GranuleSpan;
  /** Half-open, in the object. */
  readonly objectOff: number;
  readonly objectEnd: number;
}

export interface PlannedGet<W extends WantedSpan = WantedSpan> {
  readonly objectOff: number;
  readonly objectEnd: number;
  /** By ascending offset. */
  readonly parts: readonly PlannedPart<W>[];
}

export function spanBytes(page: { readonly len: number }, span: GranuleSpan): number {
  const last = span.first + span.count - 1;
  return (span.count - 1) * GRANULE_BYTES + granuleLength(page, last);
}

function partOf<W extends WantedSpan>(want: W, span: GranuleSpan): PlannedPart<W> {
  const objectOff = want.filePage.objectOff + span.first * GRANULE_BYTES;
  return { want, span, objectOff, objectEnd: objectOff + spanBytes(want.filePage.page, span) };
}

/** How many granules of the part go into a GET that has room for so many bytes; the first part of a GET always goes in. */
function granulesThatFit(part: PlannedPart, plan: { roomBytes: number; first: boolean; limits: PlanLimits }): number {
  if (part.objectEnd - part.objectOff <= plan.roomBytes) return part.span.count;
  if (plan.limits.atomic || part.want.filePage.whole) return plan.first ? part.span.count : 0;
  return Math.max(Math.floor(plan.roomBytes / GRANULE_BYTES), plan.first ? 1 : 0);
}

/** Of one object only: the spans as GETs by ascending offset. Each granule is in exactly one part. */
function planObject<W extends WantedSpan>(wanted: readonly W[], limits: PlanLimits): PlannedGet<W>[] {
  const queue = wanted
    .map((want) => partOf(want, want.span))
    .sort((a, b) => b.objectOff - a.objectOff || b.objectEnd - a.objectEnd);
  const gets: PlannedGet<W>[] = [];
  let parts: PlannedPart<W>[] = [];
  let start = 0;
  let end = 0;
  const flush = (): void => {
    if (parts.length > 0) gets.push({ objectOff: start, objectEnd: end, parts });
    parts = [];
  };
  // Filling each GET from the left as far as it goes is optimal, because granules are never split and a GET that
  // begins at the first byte still missing can only reach further than one that begins before it.
  for (let part = queue.pop(); part; part = queue.pop()) {
    if (parts.length > 0 && part.objectOff - end > limits.gapBytesMax) flush();
    const first = parts.length === 0;
    if (first) start = end = part.objectOff;
    const fit = granulesThatFit(part, { roomBytes: start + limits.getBytesMax - part.objectOff, first, limits });
    if (fit > 0) {
      const { span, want } = part;
      const taken = fit < span.count ? partOf(want, { first: span.first, count: fit }) : part;
      parts.push(taken);
      end = Math.max(end, taken.objectEnd);
      if (fit === span.count) continue;
      part = partOf(want, { first: span.first + fit, count: span.count - fit });
    }
    flush();
    queue.push(part);
  }
  flush();
  return gets;
}

/** The fewest GETs for the spans (no granule twice), each of one object, in the order in which they are first needed. */
export function planGets<W extends WantedSpan>(wanted: readonly W[], limits: PlanLimits): PlannedGet<W>[] {
  const objects = new Map<string, W[]>();
  const places = new Map<W, number>();
  let last: W | undefined;
  let spans: W[] = [];
  for (const want of wanted) {
    const { file } = want.filePage;
    // Neighbours are of one file, mostly.
    if (file !== last?.filePage.file) {
      const object = JSON.stringify([file.storageKey, file.etag]);
      spans = objects.get(object) ?? [];
      if (spans.length === 0) objects.set(object, spans);
    }
    spans.push(want);
    last = want;
    places.set(want, places.size);
  }
  const needOf = ({ want, span }: PlannedPart<W>): number => {
    if (!want.needs) return places.get(want)!;
    let least = Infinity;
    for (let granule = span.first; granule < span.first + span.count; granule += 1) {
      least = Math.min(least, want.needs.get(granule) ?? Infinity);
    }
    return least;
  };
  return [...objects.values()]
    .flatMap((object) => planObject(object, limits))
    .map((get) => ({ get, need: get.parts.reduce((least, part) => Math.min(least, needOf(part)), Infinity) }))
    .sort((a, b) => a.need - b.need || a.get.objectOff - b.get.objectOff)
    .map(({ get }) => get);
}

/** The span grown to whole quanta of the page (a quantum is a whole number of granules). */
export function roundToQuantum(page: { readonly len: number }, span: GranuleSpan, quantumBytes: number): GranuleSpan {
  const quantum = Math.max(1, Math.floor(quantumBytes / GRANULE_BYTES));
  const first = Math.floor(span.first / quantum) * quantum;
  const end = Math.min(Math.ceil(page.len / GRANULE_BYTES), Math.ceil((span.first + span.count) / quantum) * quantum);
  return { first, count: end - first };
}

/** Runs of consecutive granules among those (ascending, distinct). */
export function spansOf(granules: Iterable<number>): GranuleSpan[] {
  const spans: { first: number; count: number }[] = [];
  for (const granule of granules) {
    const last = spans.at(-1);
    if (last && last.first + last.count === granule) last.count += 1;
    else spans.push({ first: granule, count: 1 });
  }
  return spans;
}
