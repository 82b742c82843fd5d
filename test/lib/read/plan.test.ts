import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FileEntry } from '../../../src/lib/manifest/types.ts';
import { GRANULE_BYTES, granuleCount, granuleLength } from '../../../src/lib/page/page.ts';
import { FilePages } from '../../../src/lib/read/pages.ts';
import { planGets, roundToQuantum, spansOf, type PlanLimits, type WantedSpan } from '../../../src/lib/read/plan.ts';

interface Layout {
  readonly path: string;
  readonly key: string;
  readonly shardOff: number;
  readonly pageLengths: readonly number[];
  readonly granuleCrcs: boolean;
}

function fileOf({ path, key, shardOff, pageLengths, granuleCrcs }: Layout): FilePages {
  let off = 0;
  const pages = pageLengths.map((len, pageId) => {
    const page = { pageId, off, len, crc32c: 1 };
    off += len;
    return page;
  });
  const granules = pages.reduce((sum, page) => sum + granuleCount(page), 0);
  const entry: FileEntry = {
    path,
    sizeBytes: off,
    hash: 'sha256:00',
    storage: { key, etag: '"e"', sse: undefined, off: shardOff },
    pages,
    granuleCrcs: granuleCrcs ? new Uint32Array(granules) : undefined,
    modifiedAtMs: undefined,
    extra: undefined,
  };
  return new FilePages('dev', entry);
}

interface Atom {
  readonly start: number;
  readonly end: number;
}

/** The smallest parts that a plan may put into GETs, by offset. */
function atomsOf(wanted: readonly WantedSpan[]): Atom[] {
  return wanted
    .flatMap(({ filePage, span }) => {
      const at = (granule: number): Atom => {
        const start = filePage.objectOff + granule * GRANULE_BYTES;
        return { start, end: start + granuleLength(filePage.page, granule) };
      };
      const last = span.first + span.count - 1;
      if (filePage.whole) return [{ start: at(span.first).start, end: at(last).end }];
      return Array.from({ length: span.count }, (_, index) => at(span.first + index));
    })
    .sort((a, b) => a.start - b.start);
}

/** Tries every way to cut the atoms into consecutive groups. */
function fewestGets(atoms: readonly Atom[], limits: PlanLimits): number {
  const fewest = [0];
  for (let end = 1; end <= atoms.length; end += 1) {
    let best = Infinity;
    for (let start = 0; start < end; start += 1) {
      const group = atoms.slice(start, end);
      const bytes = group.at(-1)!.end - group[0]!.start;
      const gap = group.slice(1).reduce((max, atom, index) => Math.max(max, atom.start - group[index]!.end), 0);
      const allowed = group.length === 1 || (bytes <= limits.getBytesMax && gap <= limits.gapBytesMax);
      if (allowed) best = Math.min(best, fewest[start]! + 1);
    }
    fewest.push(best);
  }
  return fewest.at(-1)!;
}

const pageLength = fc.oneof(
  fc.constantFrom(GRANULE_BYTES, 3 * GRANULE_BYTES, 4 * GRANULE_BYTES),
  fc.integer({ min: 1, max: 4 * GRANULE_BYTES }),
);

/** Files side by side in one shard with holes between them, and some of their granules. */
const scenario = fc.record({
  files: fc.array(
    fc.record({
      pageLengths: fc.array(pageLength, { minLength: 1, maxLength: 3 }),
      granuleCrcs: fc.boolean(),
      holeBytes: fc.oneof(fc.constant(0), fc.nat(3 * GRANULE_BYTES)),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  wants: fc.infiniteStream(fc.boolean()),
  getBytesMax: fc.integer({ min: 1, max: 12 }).map((granules) => granules * GRANULE_BYTES),
  gapBytesMax: fc.constantFrom(0, 1000, GRANULE_BYTES, 2 * GRANULE_BYTES),
});

describe('planGets', () => {
  test('brings each wanted granule once, within the limits, with as few GETs as an exhaustive search finds', () => {
    fc.assert(
      fc.property(scenario, ({ files, wants, getBytesMax, gapBytesMax }) => {
        let shardOff = 0;
        const wanted: WantedSpan[] = [];
        for (const [index, { pageLengths, granuleCrcs, holeBytes }] of files.entries()) {
          const file = fileOf({ path: `f${index}`, key: 'shard', shardOff, pageLengths, granuleCrcs });
          shardOff += file.entry.sizeBytes + holeBytes;
          for (let page = 0; page < pageLengths.length; page += 1) {
            const filePage = file.page(page);
            const all = Array.from({ length: granuleCount(filePage.page) }, (_, granule) => granule);
            const chosen = all.filter(() => wants.next().value);
            const spans = filePage.whole && chosen.length > 0 ? [{ first: 0, count: all.length }] : spansOf(chosen);
            wanted.push(...spans.map((span) => ({ filePage, span })));
          }
        }
        const limits = { getBytesMax, gapBytesMax };
        const gets = planGets(wanted.toReversed(), limits);
        const parts = gets.flatMap((get) => get.parts);
        const planned = parts.map(({ want, span }) => ({ filePage: want.filePage, span }));
        expect(atomsOf(planned)).toEqual(atomsOf(wanted));
        for (const get of gets) {
          const single = atomsOf(get.parts.map(({ want, span }) => ({ filePage: want.filePage, span }))).length === 1;
          expect(single || get.objectEnd - get.objectOff <= getBytesMax).toBe(true);
          for (const part of get.parts) {
            expect(part.objectOff).toBeGreaterThanOrEqual(get.objectOff);
            expect(part.objectEnd).toBeLessThanOrEqual(get.objectEnd);
          }
        }
        expect(gets.length).toBe(fewestGets(atomsOf(wanted), limits));
      }),
      { numRuns: 2000 },
    );
  });

  test('keeps objects apart and begins with the GET that is needed first', () => {
    const pageLengths = [4 * GRANULE_BYTES, 4 * GRANULE_BYTES];
    const [a, b] = ['a', 'b'].map((key) => fileOf({ path: key, key, shardOff: 0, pageLengths, granuleCrcs: true }));
    const span = { first: 0, count: 1 };
    const wanted = [b!.page(1), a!.page(0), b!.page(0)].map((filePage) => ({ filePage, span }));
    const gets = planGets(wanted, { getBytesMax: 64 * GRANULE_BYTES, gapBytesMax: 0 });
    expect(gets.map((get) => [get.parts[0]!.want.filePage.file.storageKey, get.objectOff])).toEqual([
      ['b', 4 * GRANULE_BYTES],
      ['a', 0],
      ['b', 0],
    ]);
  });

  test('orders the GETs of a long span by what of it is needed first', () => {
    const file = fileOf({ path: 'a', key: 'a', shardOff: 0, pageLengths: [8 * GRANULE_BYTES], granuleCrcs: true });
    const needs = new Map([5, 3, 0, 7, 1, 2, 6, 4].map((granule, place) => [granule, place]));
    const wanted = [{ filePage: file.page(0), span: { first: 0, count: 8 }, needs }];
    const gets = planGets(wanted, { getBytesMax: 2 * GRANULE_BYTES, gapBytesMax: 0 });
    expect(gets.map(({ objectOff }) => objectOff / GRANULE_BYTES)).toEqual([4, 2, 0, 6]);
  });

  test('never cuts a span where it may not', () => {
    const file = fileOf({ path: 'a', key: 'a', shardOff: 0, pageLengths: [8 * GRANULE_BYTES], granuleCrcs: true });
    const wanted = [{ filePage: file.page(0), span: { first: 0, count: 8 } }];
    const limits = { getBytesMax: 3 * GRANULE_BYTES, gapBytesMax: 0 };
    expect(planGets(wanted, limits).length).toBe(3);
    expect(planGets(wanted, { ...limits, atomic: true }).length).toBe(1);
  });
});

describe('roundToQuantum', () => {
  test.each([
    [1, { first: 3, count: 2 }, { first: 3, count: 2 }],
    [2, { first: 3, count: 2 }, { first: 2, count: 4 }],
    [4, { first: 3, count: 2 }, { first: 0, count: 8 }],
    [8, { first: 9, count: 1 }, { first: 8, count: 2 }],
  ])('a quantum of %i granules makes %o %o', (granules, span, rounded) => {
    const page = { len: 10 * GRANULE_BYTES - 5 };
    expect(roundToQuantum(page, span, granules * GRANULE_BYTES)).toEqual(rounded);
  });
});
