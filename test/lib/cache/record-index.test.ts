import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hashFile, type FileHash } from '../../../src/lib/cache/page-key.ts';
import { RecordIndex, renumberSlots, SLOT_WORDS, type IndexedRecord } from '../../../src/lib/cache/record-index.ts';

/** Few keys and segments, so that records meet in one chain. */
const record: fc.Arbitrary<IndexedRecord> = fc.record({
  lo: fc.nat(2),
  hi: fc.nat(2),
  pageId: fc.nat(3),
  segment: fc.nat(4),
  offset: fc.nat(0xffff_ffff),
  headBytes: fc.nat(0xff_ffff),
  firstGranule: fc.nat(0xffff),
  granules: fc.integer({ min: 1, max: 0xffff }),
});

type Step =
  | { readonly kind: 'insert'; readonly record: IndexedRecord }
  | { readonly kind: 'remove'; readonly at: number }
  | { readonly kind: 'removeSegment'; readonly segment: number }
  | { readonly kind: 'reload' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: record.map((one) => ({ kind: 'insert', record: one }) as const) },
  { weight: 3, arbitrary: fc.nat().map((at) => ({ kind: 'remove', at }) as const) },
  { weight: 1, arbitrary: fc.nat(4).map((segment) => ({ kind: 'removeSegment', segment }) as const) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reload' } as const) },
);

function found(index: RecordIndex, key: IndexedRecord): IndexedRecord[] {
  const records: IndexedRecord[] = [];
  for (let slot = index.find(key, key.pageId); slot >= 0; slot = index.findNext(slot, key, key.pageId)) {
    records.push(index.at(slot));
  }
  return records;
}

function sameKey(a: IndexedRecord, b: IndexedRecord): boolean {
  return a.lo === b.lo && a.hi === b.hi && a.pageId === b.pageId;
}

function apply(index: RecordIndex, model: IndexedRecord[], one: Step): { index: RecordIndex; model: IndexedRecord[] } {
  switch (one.kind) {
    case 'insert': {
      const { segment, offset } = one.record;
      // A place holds one record.
      if (model.some((known) => known.segment === segment && known.offset === offset)) return { index, model };
      index.insert(one.record);
      return { index, model: [...model, one.record] };
    }
    case 'remove': {
      const victim = model[one.at % Math.max(1, model.length)];
      if (victim) index.removeRecord(victim);
      return { index, model: model.filter((known) => known !== victim) };
    }
    case 'removeSegment':
      index.removeSegments(new Set([one.segment]));
      return { index, model: model.filter(({ segment }) => segment !== one.segment) };
    case 'reload': {
      const loaded = new RecordIndex();
      expect(loaded.adopt(index.snapshot())).toBe(true);
      return { index: loaded, model };
    }
  }
}

describe('the index', () => {
  test('finds what a list would find, whatever came and went', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        let state = { index: new RecordIndex(), model: [] as IndexedRecord[] };
        for (const one of steps) state = apply(state.index, state.model, one);
        expect(state.index.count).toBe(state.model.length);
        for (const key of state.model) {
          const expected = state.model.filter((known) => sameKey(known, key));
          expect(new Set(found(state.index, key))).toEqual(new Set(expected));
        }
      }),
      { numRuns: 200 },
    );
  });

  test('grows, and takes less than 200 bytes a record at any size', () => {
    const index = new RecordIndex();
    for (let pageId = 0; pageId < 100_000; pageId += 1) {
      index.insert({ lo: 1, hi: 2, pageId, segment: 0, offset: pageId, headBytes: 1, firstGranule: 0, granules: 1 });
      if (pageId % 997 === 996) expect(index.memoryBytes / index.count).toBeLessThan(200);
    }
    expect(index.find({ lo: 1, hi: 2 }, 99_999)).toBeGreaterThanOrEqual(0);
    expect(index.find({ lo: 1, hi: 3 }, 99_999)).toBe(-1);
  });

  test('refuses a table that cannot be one', () => {
    const index = new RecordIndex();
    const full = new Uint32Array(1024 * SLOT_WORDS).fill(1);
    expect(index.adopt({ words: full, count: 1024 })).toBe(false);
    expect(index.adopt({ words: new Uint32Array(1024 * SLOT_WORDS), count: 1 })).toBe(false);
    expect(index.adopt({ words: new Uint32Array(1000 * SLOT_WORDS), count: 0 })).toBe(false);
    expect(index.adopt({ words: new Uint32Array(0), count: 0 })).toBe(false);
    expect(index.count).toBe(0);
  });

  test('renumbers segments in a copy, and drops those that are unknown', () => {
    const index = new RecordIndex();
    const base = { lo: 1, hi: 1, headBytes: 1, firstGranule: 0, granules: 1 };
    for (const segment of [3, 5]) index.insert({ ...base, pageId: segment, segment, offset: 9 });
    const { words } = index.snapshot();
    const kept = renumberSlots(words, { from: 0, to: words.length / SLOT_WORDS }, (segment) =>
      segment === 5 ? 0 : undefined,
    );
    expect(kept).toBe(1);
    const loaded = new RecordIndex();
    expect(loaded.adopt({ words, count: kept })).toBe(true);
    expect(found(loaded, { ...base, pageId: 5, segment: 0, offset: 9 })).toEqual([
      { ...base, pageId: 5, segment: 0, offset: 9 },
    ]);
    expect(loaded.find({ lo: 1, hi: 1 }, 3)).toBe(-1);
    expect(index.count).toBe(2);
  });
});

test('of files with one page each it takes at most 200 bytes a record, however many, and finds each by its name', () => {
  const index = new RecordIndex();
  const keyOf = (number: number): FileHash =>
    hashFile({ ns: 'dev', path: `d${number % 100}/${number}.txt`, identity: `sha256:${number}` });
  let bytesMax = 0;
  const place = { segment: 3, headBytes: 200, firstGranule: 0, granules: 1 };
  for (let number = 0; number < 100_000; number += 1) {
    index.insert({ ...keyOf(number), ...place, pageId: 0, offset: number });
    if (number >= 1000) bytesMax = Math.max(bytesMax, index.memoryBytes / index.count);
  }
  expect(bytesMax).toBeLessThanOrEqual(200);
  expect(index.count).toBe(100_000);
  let wrong = 0;
  for (let number = 0; number < 100_000; number += 1) {
    const slot = index.find(keyOf(number), 0);
    if (index.at(slot).offset !== number || index.findNext(slot, keyOf(number), 0) !== -1) wrong += 1;
  }
  expect(wrong).toBe(0);
});
