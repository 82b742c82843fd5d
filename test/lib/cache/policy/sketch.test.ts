import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../../src/lib/base/random.ts';
import { FrequencySketch, RecencySketch } from '../../../../src/lib/cache/policy/sketch.ts';

// As many as one table tells apart at its largest.
const random = seededRandom(3);
const keys = Array.from({ length: 120_000 }, () => Math.floor(random.unit() * 2 ** 32));

describe('FrequencySketch', () => {
  test('never counts too few, rarely too many, also after it grew', () => {
    const sketch = new FrequencySketch();
    const stored = keys.slice(0, 4000);
    const add = (): void => {
      for (const [index, key] of stored.entries()) for (let use = 0; use <= index % 3; use += 1) sketch.add(key);
    };
    add();
    sketch.reserve(60_000);
    add();
    const wrong = stored.map((key, index) => sketch.count(key) - 2 * ((index % 3) + 1));
    expect(Math.min(...wrong)).toBe(0);
    expect(wrong.filter((over) => over > 0).length / stored.length).toBeLessThan(0.02);
  });

  test('halves and stops at 255', () => {
    const sketch = new FrequencySketch();
    for (let use = 0; use < 300; use += 1) sketch.add(1);
    expect(sketch.count(1)).toBe(255);
    sketch.halve();
    expect(sketch.count(1)).toBe(127);
  });
});

describe('RecencySketch', () => {
  test('never says earlier than the last use, and of few pages that were not used that they were', () => {
    const sketch = new RecencySketch(60_000);
    const used = keys.slice(0, 60_000);
    for (const [index, key] of used.entries()) sketch.set(key, index + 1);
    for (const [index, key] of used.entries()) expect(sketch.last(key)).toBeGreaterThanOrEqual(index + 1);
    const flattered = keys.slice(60_000).filter((key) => sketch.last(key) > 0).length;
    expect(flattered / 60_000).toBeLessThan(0.05);
  });
});
