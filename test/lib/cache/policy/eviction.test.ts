import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planEviction } from '../../../../src/lib/cache/policy/eviction.ts';

interface Item {
  readonly bytes: number;
  readonly score: number;
}

const scoreOf = (item: Item): number => item.score;
const segment = (fileBytes: number, ...records: Item[]): { fileBytes: number; records: Item[] } => ({
  fileBytes,
  records,
});

describe('planEviction', () => {
  test('of no segments there is no victim', () => {
    expect(planEviction<Item, { fileBytes: number; records: Item[] }>([], scoreOf)).toBeUndefined();
  });

  test('takes the segment that frees most, dead bytes included, and the oldest of equals', () => {
    const hot = segment(100, { bytes: 100, score: 1 });
    const halfDead = segment(100, { bytes: 50, score: 1 });
    const cold = segment(100, { bytes: 100, score: 0 });
    const alsoCold = segment(100, { bytes: 100, score: -1 });
    expect(planEviction([hot, halfDead], scoreOf)?.victim).toBe(halfDead);
    expect(planEviction([hot, halfDead, cold, alsoCold], scoreOf)?.victim).toBe(cold);
  });

  test('keeps the hot records, hottest first, and lets the cold go', () => {
    const [warm, cold, hot] = [
      { bytes: 10, score: 1 },
      { bytes: 10, score: 0 },
      { bytes: 10, score: 5 },
    ];
    expect(planEviction([segment(30, warm, cold, hot)], scoreOf)?.survivors).toEqual([hot, warm]);
  });

  test('always frees a quarter of the victim and never keeps a colder record in place of a hotter one of its size', () => {
    const item = fc.record({ bytes: fc.constant(8), score: fc.integer({ min: -2, max: 9 }) });
    fc.assert(
      fc.property(fc.array(fc.array(item, { minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 5 }), (all) => {
        const segments = all.map((records) => segment(records.length * 8, ...records));
        const { victim, survivors } = planEviction(segments, scoreOf)!;
        expect(survivors.length * 8).toBeLessThanOrEqual(victim.fileBytes * 0.75);
        const kept = new Set(survivors);
        const droppedHot = victim.records.filter((record) => !kept.has(record) && record.score > 0);
        const coldestKept = Math.min(...survivors.map(scoreOf));
        for (const record of droppedHot) expect(record.score).toBeLessThanOrEqual(coldestKept);
        // More would have fitted, had there been hot ones left.
        if (droppedHot.length > 0) expect((survivors.length + 1) * 8).toBeGreaterThan(victim.fileBytes * 0.75);
      }),
    );
  });
});
