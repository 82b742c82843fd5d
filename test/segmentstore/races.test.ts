// Many readers and writers in four processes at once, over a cache that is too small, with maintenance running all the
// time: every page right or a miss, the capacity kept at every moment, nothing left over. The order of things follows from the seed.
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { MIB } from '../../src/lib/base/units.ts';
import { MemoryGovernor } from '../../src/lib/base/memory.ts';
import { GRANULE_BYTES, granuleCount } from '../../src/lib/page/page.ts';
import { CrashDisk } from '../support/crash-disk.ts';
import { openTestStore, testPage, type TestStore } from '../support/segment-store.ts';
import { TestProcesses } from '../support/test-processes.ts';

const CACHE = '/cache';
const CAPACITY_BYTES = 1.5 * MIB;
const PAGES = Array.from({ length: 40 }, (_, pageId) =>
  testPage({ pageId, len: pageId % 8 === 0 ? 2 * GRANULE_BYTES + 10 : 3000 * (1 + (pageId % 20)) }),
);
const WORKERS = 3;
const TURNS = 40;

async function bytesOfSegments(disk: CrashDisk): Promise<number> {
  const names = await disk.list(`${CACHE}/segments`).catch(() => []);
  return names.reduce((sum, name) => sum + disk.bytesOf(`${CACHE}/segments/${name}`).length, 0);
}

interface Seen {
  hits: number;
  misses: number;
  cleans: number;
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])('readers, writers and maintenance at once, seed %i', async (seed) => {
  const inner = new CrashDisk();
  await inner.makeDirectory(CACHE);
  const processes = new TestProcesses();
  const seen: Seen = { hits: 0, misses: 0, cleans: 0 };
  const stores: TestStore[] = [];
  for (let number = 0; number < 4; number += 1) {
    const memory = new MemoryGovernor({ limitBytes: 8 * MIB });
    const mine = processes.begin();
    const policyOf = (): 'lru' => 'lru';
    stores.push(
      await openTestStore(CACHE, { disk: inner, memory, capacityBytes: CAPACITY_BYTES, processes: mine, policyOf }),
    );
  }

  const work = async (store: TestStore, worker: number): Promise<void> => {
    const random = seededRandom(seed * 1000 + worker);
    const below = (count: number): number => Math.floor(random.unit() * count);
    for (let turn = 0; turn < TURNS; turn += 1) {
      // Lets the others go first for a while, each time another one.
      for (let pause = below(4); pause > 0; pause -= 1) await new Promise((resolve) => setImmediate(resolve));
      expect(await bytesOfSegments(inner)).toBeLessThanOrEqual(CAPACITY_BYTES * (1 + 1 / 32));
      const page = PAGES[below(PAGES.length)]!;
      const dice = random.unit();
      if (dice < 0.03) {
        await store.store.maintenance.clean();
        seen.cleans += 1;
      } else if (dice < 0.06) {
        store.store.drop(page.page, { first: 0, count: granuleCount(page.page) });
      } else if (dice < 0.15) {
        await store.put(page, { first: below(granuleCount(page.page)), count: 1 });
      } else {
        const off = below(page.page.len);
        const bytes = await store.get(page, { off, len: 1 + below(page.page.len - off) });
        if (bytes) seen.hits += 1;
        else {
          seen.misses += 1;
          await store.put(page);
        }
      }
    }
  };
  const workers = stores.flatMap((store, index) =>
    Array.from({ length: WORKERS }, (_, worker) => work(store, index * WORKERS + worker)),
  );
  await Promise.all(workers);

  expect(seen.hits).toBeGreaterThan(20);
  expect(seen.misses).toBeGreaterThan(20);
  expect(seen.cleans).toBeGreaterThan(2);
  const evicted = stores.reduce((sum, { metrics }) => sum + metrics.get('seekfs_l2_evicted_bytes_total'), 0);
  expect(evicted).toBeGreaterThan(0);
  for (const { store, memory, logger, metrics } of stores) {
    await store.close();
    expect(memory.inUseBytes).toBe(0);
    expect(logger.lines.filter((line) => line.startsWith('warn'))).toEqual([]);
    expect(metrics.get('seekfs_crc_failures_total')).toBe(0);
    expect(metrics.get('seekfs_l2_read_failures_total')).toBe(0);
  }
  expect(inner.openFiles).toBe(0);
});
