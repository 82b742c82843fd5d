import { afterEach, expect, test } from 'vitest';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { closeBenches, readBench } from '../../support/read-bench.ts';

afterEach(closeBenches);

test('100 KiB random reads with a cache of half the data fetch at most twice what is asked for from the third epoch', async () => {
  const { store, cache, reader } = readBench();
  const bytes = someBytes(32 * MIB);
  const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
  const entry = await version.lookup('a');
  cache.capacityGranules = bytes.length / GRANULE_BYTES / 2;
  const random = seededRandom(11);
  const len = 100 * KIB;
  const amplification: number[] = [];
  for (let epoch = 0; epoch < 4; epoch += 1) {
    const gotBefore = store.gotBytes;
    // Each sample once an epoch, in a new order, as a training job does.
    const offs = Array.from({ length: Math.floor(bytes.length / len) }, (_, index) => index * len);
    for (let at = offs.length - 1; at > 0; at -= 1) {
      const other = Math.floor(random.unit() * (at + 1));
      [offs[at], offs[other]] = [offs[other]!, offs[at]!];
    }
    for (const off of offs) {
      const got = await collect(reader.stream(version, entry, { off, len }));
      expect(got.equals(bytes.subarray(off, off + len))).toBe(true);
    }
    amplification.push((store.gotBytes - gotBefore) / (offs.length * len));
  }
  expect(Math.max(...amplification.slice(2))).toBeLessThanOrEqual(2);
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
