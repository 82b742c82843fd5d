import { afterEach, describe, expect, test } from 'vitest';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { checkWarm, forecastWarm, warm } from '../../../src/lib/maintain/warm.ts';
import { FilePages } from '../../../src/lib/read/pages.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { closeBenches, failure, readBench } from '../../support/read-bench.ts';

afterEach(closeBenches);

describe('warm', () => {
  test('fetches a file with ceil(size / coalesce) GETs, after which reads cost none', async () => {
    const { reader, cache, store } = readBench({ limits: { rangeCoalesceMaxBytes: 4 * MIB } });
    const bytes = someBytes(33 * MIB + 5);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
    const forecast = await forecastWarm({ reader, cache }, { version, patterns: [], pricePer1000Gets: 0.4 });
    expect(forecast).toMatchObject({ files: 1, missingPages: 34, missingBytes: bytes.length, gets: 9 });
    expect(forecast.cost).toBeCloseTo(0.0036);
    expect(store.gets.length).toBe(0);
    const report = await warm({ reader, cache }, { version, patterns: [] });
    expect(report).toMatchObject({ files: 1, bytes: bytes.length, fetchedBytes: bytes.length, unmatched: [] });
    expect(report).toMatchObject({ missingPages: 0, missingBytes: 0, missingPaths: [] });
    expect(store.gets.length).toBe(9);
    expect(store.gets.every(({ lane }) => lane === 'speculation')).toBe(true);
    const got = await collect(reader.stream(version, await version.lookup('a'), { off: 0, len: bytes.length }));
    expect(got.equals(bytes)).toBe(true);
    expect((await warm({ reader, cache }, { version, patterns: ['a'] })).fetchedBytes).toBe(0);
    expect(store.gets.length).toBe(9);
  });

  test.each([
    ['granules', 2 * MIB],
    ['pages', 8 * MIB],
  ] as const)(
    'ends with everything in the cache under a small limit (%s, %i bytes)',
    async (checksums, memoryBytes) => {
      const { reader, cache, store } = readBench({ memoryBytes });
      const files = ['a', 'b', 'c'].map((path, seed) => ({
        path,
        bytes: someBytes(5 * MIB, seed),
        pageSizeBytes: 4 * MIB,
        checksums,
      }));
      const version = await publishBytes(store, files);
      await warm({ reader, cache }, { version, patterns: [] });
      const report = await checkWarm({ reader, cache }, { version, patterns: [] });
      expect(report).toMatchObject({ files: 3, pages: 6, intactPages: 6 });
    },
  );

  test('small files of one pack share GETs, and patterns choose among them', async () => {
    const { reader, cache, store } = readBench();
    const files = Array.from({ length: 300 }, (_, index) => ({
      path: `${index % 2 === 0 ? 'even' : 'odd'}/${String(index).padStart(3, '0')}`,
      bytes: someBytes(3000, index),
      pageSizeBytes: 64 * KIB,
    }));
    const version = await publishBytes(store, files, { pack: true });
    const report = await warm({ reader, cache }, { version, patterns: ['even/', 'odd/001', 'none/*'] });
    expect(report).toMatchObject({ files: 151, bytes: 151 * 3000, unmatched: ['none/*'] });
    expect(store.gets.length).toBe(1);
  });

  test('says what the cache did not take', async () => {
    const { reader, cache, store } = readBench();
    const files = ['a', 'b', 'c'].map((path, seed) => ({ path, bytes: someBytes(MIB, seed), pageSizeBytes: MIB }));
    const version = await publishBytes(store, files);
    cache.capacityGranules = 10;
    const report = await warm({ reader, cache }, { version, patterns: [] });
    expect(report).toMatchObject({ files: 3, bytes: 3 * MIB, fetchedBytes: 3 * MIB });
    expect(report).toMatchObject({ missingPages: 2, missingBytes: 14 * 128 * KIB, missingPaths: ['b', 'c'] });
  });

  test('resumes: only what is missing is fetched', async () => {
    const { reader, cache, store } = readBench();
    const bytes = someBytes(4 * MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
    await collect(reader.stream(version, await version.lookup('a'), { off: MIB, len: MIB }));
    const report = await warm({ reader, cache }, { version, patterns: [] });
    expect(report.fetchedBytes).toBe(3 * MIB);
  });

  test('ends with the error of the store, and with interrupted when it is aborted', async () => {
    const { reader, cache, store } = readBench();
    const version = await publishBytes(store, [{ path: 'a', bytes: someBytes(2 * MIB), pageSizeBytes: MIB }]);
    store.spoil = (chunk) => {
      chunk[0]! ^= 1;
    };
    expect(await failure(warm({ reader, cache }, { version, patterns: [] }))).toBe('page_corrupt');
    store.spoil = undefined;
    const controller = new AbortController();
    store.beforeGet = () => controller.abort();
    const { signal } = controller;
    expect(await failure(warm({ reader, cache }, { version, patterns: [], signal }))).toBe('interrupted');
  });
});

describe('check', () => {
  test('tells intact, missing, partial and damaged pages apart and fetches nothing', async () => {
    const { reader, cache, store } = readBench();
    const bytes = someBytes(4 * MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
    const entry = await version.lookup('a');
    await collect(reader.stream(version, entry, { off: 0, len: MIB }));
    await collect(reader.stream(version, entry, { off: MIB, len: 1 }));
    await collect(reader.stream(version, entry, { off: 2 * MIB, len: MIB }));
    cache.damage(new FilePages('dev', entry).page(2).page, 3);
    const gets = store.gets.length;
    const report = await checkWarm({ reader, cache }, { version, patterns: [] });
    expect(report).toMatchObject({ pages: 4, intactPages: 1, partialPages: 1, damagedPages: 1, missingPages: 1 });
    expect(report.findings).toEqual([
      { path: 'a', pageId: 1, kind: 'partial' },
      { path: 'a', pageId: 2, kind: 'damaged' },
      { path: 'a', pageId: 3, kind: 'missing' },
    ]);
    expect(store.gets.length).toBe(gets);
  });
});
