import { expect, test } from 'vitest';
import { MemoryGovernor } from '../../../src/lib/base/memory.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { MIB } from '../../../src/lib/base/units.ts';
import { L1 } from '../../../src/lib/cache/l1.ts';
import { createPageCache } from '../../../src/lib/cache/layered-cache.ts';
import { joined, openTestStore, testPage, verifiedRun } from '../../support/segment-store.ts';

async function openCache(l2DirectoryPath: string | undefined) {
  const memory = new MemoryGovernor({ limitBytes: 16 * MIB });
  const metrics = new Metrics();
  const l1 = new L1({ limitBytes: 8 * MIB, governor: memory, metrics });
  const l2 = l2DirectoryPath === undefined ? undefined : (await openTestStore(l2DirectoryPath, { memory })).store;
  return { memory, cache: createPageCache({ l1, l2, metrics }) };
}

// The fetcher gives its references back in `onWritten`: a layer that took the run only afterwards would take nothing.
test('a run that L2 declines is in memory before the caller is told that it may let go', async () => {
  const { memory, cache } = await openCache(undefined);
  const page = testPage({ len: 300_000 });
  const run = await verifiedRun(memory, page);
  let told = 0;
  cache.insert(run, {
    demand: true,
    onWritten: () => {
      told += 1;
      run.release();
    },
  });
  expect(told).toBe(1);
  const slabs = await cache.read(page.page, { off: 100_000, len: 150_000 }, {});
  expect(joined(slabs!).equals(page.bytes.subarray(100_000, 250_000))).toBe(true);
  await cache.close();
  expect(memory.inUseBytes).toBe(0);
});

test('a directory that cannot be written still leaves the run in memory, and all memory comes back', async () => {
  const { memory, cache } = await openCache('/dev/null/l2');
  for (let pageId = 0; pageId < 4; pageId += 1) {
    const page = testPage({ len: 300_000, pageId });
    const run = await verifiedRun(memory, page);
    await new Promise<void>((resolve) =>
      cache.insert(run, {
        demand: true,
        onWritten: () => {
          run.release();
          resolve();
        },
      }),
    );
    const slabs = await cache.read(page.page, { off: 0, len: 300_000 }, {});
    expect(joined(slabs!).equals(page.bytes)).toBe(true);
  }
  await cache.close();
  expect(memory.inUseBytes).toBe(0);
});
