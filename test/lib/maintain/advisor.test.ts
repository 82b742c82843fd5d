import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GIB, KIB, MIB } from '../../../src/lib/base/units.ts';
import { planEpoch, wholeFiles, type EpochAssumptions } from '../../../src/lib/maintain/advisor.ts';
import { pinnedVersion } from '../../support/memory-data.ts';

const version = pinnedVersion('dev', 1, {
  'a.bin': Buffer.alloc(8 * MIB),
  'b.bin': Buffer.alloc(8 * MIB),
  'empty.bin': Buffer.alloc(0),
  'odd.bin': Buffer.alloc(200 * KIB),
});
const ALL = 16 * MIB + 200 * KIB;

const plan = (cacheBytes: number, more: Partial<EpochAssumptions> = {}, order = wholeFiles(version)) =>
  planEpoch(version, order, { cacheBytes, getBytesMax: 8 * MIB, getsPerSecond: 200, bytesPerSecond: GIB, ...more });

test('wholeFiles reads each file once, in order, and passes over empty ones', async () => {
  const extents = [];
  for await (const extent of wholeFiles(version)) extents.push(extent);
  expect(extents).toEqual([
    { path: 'a.bin', off: 0, len: 8 * MIB },
    { path: 'b.bin', off: 0, len: 8 * MIB },
    { path: 'odd.bin', off: 0, len: 200 * KIB },
  ]);
});

describe('planEpoch', () => {
  test('what fits costs one GET a page in the first epoch and none later', async () => {
    const forecast = await plan(GIB);
    expect(forecast).toMatchObject({ files: 3, extents: 3, readBytes: ALL, distinctBytes: ALL, cachedBytes: ALL });
    expect(forecast.first).toMatchObject({ gets: 3, bytes: ALL });
    expect(forecast.later).toMatchObject({ gets: 0, bytes: 0, seconds: 0 });
  });

  test('half a cache saves half of each later epoch', async () => {
    const { later } = await plan(8 * MIB);
    expect(later.bytes).toBe(ALL - 8 * MIB);
  });

  test('without a cache, reading twice fetches twice', async () => {
    const extent = { path: 'a.bin', off: 0, len: 4096 };
    const { first } = await plan(0, {}, asAsync([extent, extent]));
    expect(first).toMatchObject({ gets: 2, bytes: 2 * 128 * KIB });
  });

  test('time is the slower of requests and bytes; money is both', async () => {
    const { first } = await plan(GIB, { getsPerSecond: 1, pricePer1000Gets: 0.4, pricePerGib: 1 });
    expect(first.seconds).toBe(3);
    expect(first.cost).toBeCloseTo(0.0012 + ALL / GIB, 10);
    expect((await plan(GIB, { bytesPerSecond: ALL / 10 })).first.seconds).toBe(10);
  });

  test('whatever the order and the cache: never more than was read, never less than the distinct bytes', async () => {
    const extents = fc.array(
      fc.record({
        path: fc.constantFrom('a.bin', 'b.bin'),
        off: fc.nat(8 * MIB - 1),
        len: fc.integer({ min: 1, max: 3 * MIB }),
      }),
      { minLength: 1, maxLength: 20 },
    );
    await fc.assert(
      fc.asyncProperty(extents, fc.nat(20 * MIB), async (order, cacheBytes) => {
        const forecast = await plan(cacheBytes, {}, asAsync(order));
        expect(forecast.first.bytes).toBeGreaterThanOrEqual(forecast.distinctBytes);
        expect(forecast.later.bytes).toBeLessThanOrEqual(forecast.first.bytes);
        expect(forecast.cachedBytes).toBeLessThanOrEqual(Math.min(cacheBytes, forecast.distinctBytes));
        if (cacheBytes >= forecast.distinctBytes) expect(forecast.later.gets).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});

async function* asAsync<T>(items: readonly T[]): AsyncGenerator<T, void, undefined> {
  yield* items;
}
