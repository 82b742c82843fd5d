import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/lib/base/log.ts';
import { MemoryGovernor } from '../../../src/lib/base/memory.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { seededRandom, type Random } from '../../../src/lib/base/random.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { createPageCache } from '../../../src/lib/cache/layered-cache.ts';
import { openSegmentStore } from '../../../src/lib/cache/open-segment-store.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import type { PinnedVersion } from '../../../src/lib/manifest/types.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import type { Reader } from '../../../src/lib/read/reader.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { closeBenches, readBench, type ReadBench } from '../../support/read-bench.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

afterEach(closeBenches);

/** A shuffled pass over the file in samples of that length; the bytes must be right. */
async function readEpoch(
  bench: { readonly reader: Reader; readonly afterEach?: () => Promise<void> },
  { version, bytes, len, random }: { version: PinnedVersion; bytes: Buffer; len: number; random: Random },
): Promise<number> {
  const entry = await version.lookup('a');
  const offs = Array.from({ length: Math.floor(bytes.length / len) }, (_, index) => index * len);
  for (let at = offs.length - 1; at > 0; at -= 1) {
    const other = Math.floor(random.unit() * (at + 1));
    [offs[at], offs[other]] = [offs[other]!, offs[at]!];
  }
  for (const off of offs) {
    const got = await collect(bench.reader.stream(version, entry, { off, len }));
    expect(got.equals(bytes.subarray(off, off + len))).toBe(true);
    await bench.afterEach?.();
  }
  return offs.length * len;
}

describe('100 KiB random reads with a cache of half the data fetch at most twice what is asked for from the third epoch', () => {
  const bytes = someBytes(32 * MIB);
  const len = 100 * KIB;

  test('with the cache in memory', async () => {
    const { store, cache, reader } = readBench();
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
    cache.capacityGranules = bytes.length / GRANULE_BYTES / 2;
    const random = seededRandom(11);
    const amplification: number[] = [];
    for (let epoch = 0; epoch < 4; epoch += 1) {
      const gotBefore = store.gotBytes;
      const askedBytes = await readEpoch({ reader }, { version, bytes, len, random });
      amplification.push((store.gotBytes - gotBefore) / askedBytes);
    }
    expect(Math.max(...amplification.slice(2))).toBeLessThanOrEqual(2);
  });

  test('with the segmentstore', async () => {
    const memory = new MemoryGovernor({ limitBytes: 64 * MIB });
    const metrics = new Metrics();
    const random = seededRandom(11);
    const clock = manualClock();
    const common = { memory, metrics, log: silentLogger, clock };
    const l2 = await openSegmentStore({
      ...common,
      disk: nodeDisk,
      directoryPath: await temporaryDirectory('seekfs-amplification'),
      capacityBytes: bytes.length / 2,
      freeReserveBytes: 0,
      random,
    });
    const cache = createPageCache({ l2, metrics });
    const { store, reader } = readBench({ deps: { ...common, cache } });
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
    let reads = 0;
    const afterEach = async (): Promise<void> => {
      reads += 1;
      if (reads % 8 > 0) return;
      await cache.drain();
      clock.advance(1000);
    };
    const amplification: number[] = [];
    for (let epoch = 0; epoch < 3; epoch += 1) {
      const gotBefore = store.gotBytes;
      const askedBytes = await readEpoch({ reader, afterEach }, { version, bytes, len, random });
      amplification.push((store.gotBytes - gotBefore) / askedBytes);
    }
    // The cache is too small for all of it; without one it would be 2.3 times.
    expect(Math.min(...amplification.slice(2))).toBeGreaterThan(0.2);
    expect(Math.max(...amplification.slice(2))).toBeLessThanOrEqual(2);
    await reader.close();
    await cache.close();
    expect(memory.inUseBytes).toBe(0);
  });
});

describe('GETs that were saved are counted', () => {
  const bytes = someBytes(4 * MIB);
  const file = { path: 'a', bytes, pageSizeBytes: MIB };
  const savedOf = ({ metrics }: ReadBench): Record<string, number> =>
    Object.fromEntries(
      ['cache', 'single_flight', 'coalescing'].map((by) => [by, metrics.get('seekfs_store_gets_saved_total', { by })]),
    );

  test('by coalescing: pages that share a GET; by the cache: reads, or the parts of a stream', async () => {
    const bench = readBench({ limits: { streamGetBytes: 2 * MIB } });
    const version = await publishBytes(bench.store, [file]);
    const entry = await version.lookup('a');
    const whole = { off: 0, len: bytes.length };
    await collect(bench.reader.stream(version, entry, whole));
    expect(bench.store.gets.length).toBe(2);
    expect(savedOf(bench)).toEqual({ cache: 0, single_flight: 0, coalescing: 2 });
    await collect(bench.reader.stream(version, entry, whole));
    expect(savedOf(bench)).toEqual({ cache: 2, single_flight: 0, coalescing: 2 });
    await collect(bench.reader.stream(version, entry, { off: 5, len: 4096 }));
    const extents = [0, 3 * MIB].map((off) => ({ path: 'a', off, len: 4096 }));
    await collect(bench.reader.readv(version, extents));
    expect(savedOf(bench)).toEqual({ cache: 5, single_flight: 0, coalescing: 2 });
  });

  test('by single-flight: readers that join a fetch under way', async () => {
    const bench = readBench();
    const version = await publishBytes(bench.store, [file]);
    const entry = await version.lookup('a');
    const range = { off: 100, len: 1000 };
    await Promise.all(Array.from({ length: 8 }, () => collect(bench.reader.stream(version, entry, range))));
    expect(bench.store.gets.length).toBe(1);
    expect(savedOf(bench)).toEqual({ cache: 0, single_flight: 7, coalescing: 0 });
  });
});

test('64 readers of one page whose cache writes late still cost one GET', async () => {
  const { store, cache, reader } = readBench();
  cache.writesLate = true;
  const bytes = someBytes(2 * MIB);
  const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 2 * MIB }]);
  const entry = await version.lookup('a');
  const reads = Array.from({ length: 64 }, async (_, index) => {
    for (let turn = 0; turn < index * 3; turn += 1) await Promise.resolve();
    return collect(reader.stream(version, entry, { off: 0, len: bytes.length }));
  });
  for (const got of await Promise.all(reads)) expect(got.equals(bytes)).toBe(true);
  expect(store.gets.length).toBe(1);
  await cache.drain();
});
