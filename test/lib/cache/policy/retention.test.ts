import { describe, expect, test } from 'vitest';
import { epochsTrace, hitPercent, simulate, simulateLru } from '../../../support/retention-simulator.ts';

describe('shuffled epochs with a cache of half the data', () => {
  const pages = 4000;
  const trace = epochsTrace({ pages, epochs: 6, seed: 1 });
  const fromThirdEpoch = 2 * pages;

  test('true LRU hits about 15 %', () => {
    const percent = hitPercent(simulateLru(trace, pages / 2), fromThirdEpoch);
    expect(percent).toBeGreaterThan(13);
    expect(percent).toBeLessThan(17);
  });

  test('`retain` hits 50 %', () => {
    const { hits } = simulate(trace, { policy: 'retain', capacityPages: pages / 2 });
    expect(hitPercent(hits, fromThirdEpoch)).toBe(50);
  });
});
