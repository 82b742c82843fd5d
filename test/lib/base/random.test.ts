import { describe, expect, test } from 'vitest';
import { seededRandom, systemRandom } from '../../../src/lib/base/random.ts';

describe('seededRandom', () => {
  test('the same seed gives the same numbers for ever, another seed others', () => {
    const draw = (seed: number): number[] => {
      const random = seededRandom(seed);
      return Array.from({ length: 3 }, () => Math.floor(random.unit() * 1e6));
    };
    // mulberry32 of seed 1, as its author's reference prints it: benchmarks and failing seeds depend on it.
    expect(draw(1)).toEqual([627073, 2735, 527447]);
    expect(draw(2)).not.toEqual(draw(1));
  });

  test('is uniform enough for workloads', () => {
    const random = seededRandom(42);
    const buckets = Array.from({ length: 16 }, () => 0);
    for (let draw = 0; draw < 160_000; draw += 1) buckets[Math.floor(random.unit() * 16)]! += 1;
    // Chi-squared with 15 degrees of freedom: above 37.7 once in a thousand seeds.
    const chiSquared = buckets.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
    expect(chiSquared).toBeLessThan(37.7);
  });
});

test.each([
  ['seeded', seededRandom(1)],
  ['system', systemRandom],
])('%s bytes have the length asked for and are not all alike', (_, random) => {
  const bytes = random.bytes(1000);
  expect(bytes).toHaveLength(1000);
  expect(new Set(bytes).size).toBeGreaterThan(200);
});
