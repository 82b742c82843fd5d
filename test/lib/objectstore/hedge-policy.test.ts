import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HedgeBudget, LatencyQuantile } from '../../../src/lib/objectstore/hedge-policy.ts';

describe('LatencyQuantile', () => {
  test('says nothing before it has seen enough', () => {
    const quantile = new LatencyQuantile({ share: 0.5, samplesMin: 3 });
    quantile.observe(10);
    quantile.observe(10);
    expect(quantile.ms).toBeUndefined();
    quantile.observe(10);
    expect(quantile.ms).toBeGreaterThanOrEqual(10);
  });

  test('is the sorted samples’ quantile, to within a tenth and never below', () => {
    const samples = fc.array(fc.double({ min: 0.1, max: 60_000, noNaN: true }), { minLength: 1, maxLength: 500 });
    fc.assert(
      fc.property(samples, fc.constantFrom(0.5, 0.9, 0.98), (latencies, share) => {
        const quantile = new LatencyQuantile({ share, samplesMin: 1 });
        for (const latencyMs of latencies) quantile.observe(latencyMs);
        const sorted = [...latencies].sort((a, b) => a - b);
        const exact = sorted[Math.ceil(sorted.length * share - 1e-9) - 1]!;
        expect(quantile.ms).toBeGreaterThanOrEqual(exact * 0.999_999);
        expect(quantile.ms).toBeLessThanOrEqual(exact * 1.1 * 1.000_001);
      }),
    );
  });

  test('follows a store that has become slower, and one that has become faster', () => {
    const quantile = new LatencyQuantile({ share: 0.98, samplesMin: 100 });
    for (let n = 0; n < 5000; n += 1) quantile.observe(10);
    for (let n = 0; n < 5000; n += 1) quantile.observe(100);
    expect(quantile.ms).toBeGreaterThan(99);
    for (let n = 0; n < 20_000; n += 1) quantile.observe(10);
    expect(quantile.ms).toBeLessThan(12);
  });

  test('takes latencies out of all bounds for the bounds', () => {
    const quantile = new LatencyQuantile({ share: 1, samplesMin: 1 });
    quantile.observe(0);
    expect(quantile.ms).toBeCloseTo(0.1);
    quantile.observe(1e12);
    expect(quantile.ms).toBeGreaterThan(100_000);
  });
});

test('a HedgeBudget never gives more than its share of what was earned, however it is asked', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 2000 }), (asks) => {
      const budget = new HedgeBudget({ share: 0.02, savedMax: 3 });
      let [earned, taken] = [0, 0];
      for (const isAsked of asks) {
        budget.earn();
        earned += 1;
        if (!isAsked || !budget.isThere) continue;
        budget.take();
        taken += 1;
        expect(taken).toBeLessThanOrEqual(earned * 0.02 + 1e-6);
      }
    }),
  );
  const idle = new HedgeBudget({ share: 0.5, savedMax: 3 });
  for (let n = 0; n < 1000; n += 1) idle.earn();
  let burst = 0;
  for (; idle.isThere; burst += 1) idle.take();
  expect(burst).toBe(3);
});
