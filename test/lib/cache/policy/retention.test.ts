import { describe, expect, test } from 'vitest';
import { pageHash, type HashedPage, type PageName } from '../../../../src/lib/cache/policy/page-hash.ts';
import type { RetentionName } from '../../../../src/lib/cache/policy/policy.ts';
import { Retention } from '../../../../src/lib/cache/policy/retention.ts';
import {
  concatTraces,
  epochsTrace,
  hitPercent,
  scanTrace,
  simulate,
  simulateLru,
  zipfTrace,
} from '../../../support/retention-simulator.ts';

describe('shuffled epochs with a cache of half the data', () => {
  const pages = 20_000;
  const trace = epochsTrace({ pages, epochs: 6, seed: 1 });
  const fromThirdEpoch = 2 * pages;

  test('true LRU hits about 15 %', () => {
    const percent = hitPercent(simulateLru(trace, pages / 2), fromThirdEpoch);
    expect(percent).toBeGreaterThan(13);
    expect(percent).toBeLessThan(17);
  });

  test.each(['retain', 'auto'] as const)('`%s` hits at least 49 %% from the third epoch on', (policy) => {
    const { hits } = simulate(trace, { policy, capacityPages: pages / 2 });
    expect(hitPercent(hits, fromThirdEpoch)).toBeGreaterThanOrEqual(49);
  });

  test.each([8, 64, 1000])('`auto` does so for a data set of %i pages too', (few) => {
    const small = epochsTrace({ pages: few, epochs: 40, seed: 2 });
    const { hits } = simulate(small, { policy: 'auto', capacityPages: few / 2 });
    expect(hitPercent(hits, 2 * few)).toBeGreaterThanOrEqual(49);
  });

  test('`auto` lets go of a data set that the readers left: 40 % of the next from its third epoch on', () => {
    const moved = concatTraces(trace, epochsTrace({ pages, epochs: 5, seed: 3, firstPage: 1_000_000 }));
    const { hits } = simulate(moved, { policy: 'auto', capacityPages: pages / 2 });
    expect(hitPercent(hits, trace.length + 2 * pages)).toBeGreaterThanOrEqual(40);
  });
});

test('`auto` goes from skewed traffic to the epochs of a data set, of which it keeps as much as fits', () => {
  const skewed = zipfTrace({ pages: 100_000, exponent: 1, reads: 200_000, seed: 1 });
  const epochs = epochsTrace({ pages: 20_000, epochs: 6, seed: 3, firstPage: 200_000 });
  const { hits } = simulate(concatTraces(skewed, epochs), { policy: 'auto', capacityPages: 5000 });
  expect(hitPercent(hits, hits.length - 40_000)).toBeGreaterThanOrEqual(20);
});

describe('Zipf(1.0) over 100,000 pages at 5 % capacity', () => {
  const pages = 100_000;
  const capacityPages = pages / 20;
  const reads = 1_000_000;
  const trace = zipfTrace({ pages, exponent: 1, reads, seed: 1 });
  const lruPercent = hitPercent(simulateLru(trace, capacityPages));
  const undisturbed = {
    s3fifo: simulate(trace, { policy: 's3fifo', capacityPages }),
    auto: simulate(trace, { policy: 'auto', capacityPages }),
  };

  test.each(['s3fifo', 'auto'] as const)(
    '`%s` hits at least 6 points more than true LRU, admitting less than half of what LRU admits',
    (policy) => {
      const { hits, admissions, reinsertions, residentPagesMax } = undisturbed[policy];
      expect(hitPercent(hits) - lruPercent).toBeGreaterThanOrEqual(6);
      expect(residentPagesMax).toBeLessThanOrEqual(capacityPages);
      expect(admissions).toBeLessThan(((100 - lruPercent) / 100) * reads * 0.5);
      expect(reinsertions).toBeLessThan(3.5 * admissions);
    },
  );

  test.each([
    ['s3fifo', 'other pages', 1_000_000],
    ['auto', 'other pages', 1_000_000],
    ['auto', 'the same pages, the hottest first', 0],
  ] as const)('`%s`: a full scan of %s in the middle costs at most 3 points', (policy, _, firstPage) => {
    const before = reads / 4;
    const scan = scanTrace({ pages, firstPage });
    const scanned = concatTraces(trace.subarray(0, before), scan, trace.subarray(before, before + 50_000));
    const { hits } = simulate(scanned, { policy, capacityPages });
    // Right after the scan, while its damage would show most.
    for (const window of [5000, 50_000]) {
      const after = hitPercent(hits, before + pages, before + pages + window);
      expect(hitPercent(undisturbed[policy].hits, before, before + window) - after).toBeLessThanOrEqual(3);
    }
  });

  test('`lru` is within 2 points of true LRU', () => {
    const short = trace.subarray(0, 200_000);
    const { hits } = simulate(short, { policy: 'lru', capacityPages });
    expect(Math.abs(hitPercent(hits) - hitPercent(simulateLru(short, capacityPages)))).toBeLessThanOrEqual(2);
  });
});

describe('several namespaces', () => {
  const page = (ns: string, pageId: number): PageName => ({ ns, path: 'a', identity: 'sha256:00', pageId });
  const hashed = (name: PageName): HashedPage => ({ ns: name.ns, key: pageHash(name) });
  const full = { full: true, residentPages: 100 };

  test('each has the policy that is configured for it', () => {
    const names: Record<string, RetentionName> = { r: 'retain', l: 'lru' };
    const retention = new Retention({ policyOf: (ns) => names[ns]! });
    expect(retention.admit(page('r', 0), full)).toBe('decline');
    expect(retention.admit(page('l', 0), full)).toBe('admit');
  });

  test('a namespace that nobody reads any more gives way', () => {
    const retention = new Retention({ policyOf: () => 'retain' });
    retention.onHit(page('old', 0));
    expect(retention.score(hashed(page('old', 0)))).toBeGreaterThan(0);
    for (let pageId = 0; pageId < 5000; pageId += 1) retention.onMiss(page('new', pageId));
    expect(retention.score(hashed(page('old', 0)))).toBe(0);
    expect(retention.score(hashed(page('new', 0)))).toBeGreaterThan(0);
    retention.onHit(page('old', 0));
    expect(retention.score(hashed(page('old', 0)))).toBeGreaterThan(0);
  });

  test('reading a page in small steps is one use of it', () => {
    const retention = new Retention({ policyOf: () => 's3fifo' });
    // Stored pages that were used twice each, so that the threshold is 2 and a newcomer needs 4 uses.
    for (let pageId = 0; pageId < 100; pageId += 1)
      retention.admit(page('n', pageId), { full: false, residentPages: 0 });
    for (let round = 0; round < 2; round += 1) {
      for (let pageId = 0; pageId < 100; pageId += 1) retention.onHit(page('n', pageId));
    }
    for (let step = 0; step < 64; step += 1) retention.onMiss(page('n', 1000));
    expect(retention.admit(page('n', 1000), full)).toBe('decline');
    for (let round = 0; round < 4; round += 1) {
      for (let other = 0; other < 20; other += 1) retention.onHit(page('n', other));
      retention.onMiss(page('n', 1000));
    }
    expect(retention.admit(page('n', 1000), full)).toBe('admit');
  });
});
