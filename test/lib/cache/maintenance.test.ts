import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MemoryGovernor } from '../../../src/lib/base/memory.ts';
import { MIB } from '../../../src/lib/base/units.ts';
import { systemClock, type Clock } from '../../../src/lib/base/clock.ts';
import { LockFile } from '../../../src/lib/disk/lock-file.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { currentProcess } from '../../../src/lib/disk/process-identity.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import { SegmentWriter } from '../../../src/lib/segment/writer.ts';
import { CrashDisk } from '../../support/crash-disk.ts';
import { closeOpened, openToClose } from '../../support/opened-stores.ts';
import {
  openTestStore,
  testPage,
  verifiedRun,
  type TestPage,
  type TestStore,
  type TestStoreOptions,
} from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let directory: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
});

afterEach(closeOpened);

function open(options: TestStoreOptions = {}): Promise<TestStore> {
  return openToClose(directory, { policyOf: () => 'lru', ...options });
}

function segments(): string[] {
  return readdirSync(join(directory, 'segments'));
}

function bytesOnDisk(): number {
  // A segment may be renamed between the two looks at it.
  const sizes = segments().map((name) => statSync(join(directory, 'segments', name), { throwIfNoEntry: false })?.size);
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

function pagesOf(count: number, len = 300_000): TestPage[] {
  return Array.from({ length: count }, (_, pageId) => testPage({ pageId, len }));
}

async function heldOf(l2: TestStore, pages: readonly TestPage[]): Promise<number[]> {
  const held: number[] = [];
  for (const page of pages) if (await l2.get(page)) held.push(page.page.pageId);
  return held;
}

describe('eviction', () => {
  test('keeps the cache within its capacity and takes every new page under lru', async () => {
    const l2 = await open({ capacityBytes: 32 * MIB });
    const pages = pagesOf(180);
    for (const page of pages) {
      await l2.put(page);
      expect(await l2.get(page)).toBeDefined();
      // A thirty-second more while pages are written again.
      expect(bytesOnDisk()).toBeLessThanOrEqual(33 * MIB);
    }
    expect(l2.metrics.get('seekfs_l2_evicted_bytes_total')).toBeGreaterThan(16 * MIB);
    const held = await heldOf(l2, pages);
    expect(held.length).toBeGreaterThan(60);
    expect(held).toContain(179);
    expect(held).not.toContain(0);
  });

  test.each([-3_600_000, 3_600_000])('takes the oldest pages also where the clock is set by %i ms', async (byMs) => {
    let setMs = 0;
    const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + setMs };
    const l2 = await open({ capacityBytes: 32 * MIB, clock });
    const pages = pagesOf(240);
    for (const page of pages.slice(0, 120)) await l2.put(page);
    setMs = byMs;
    for (const page of pages.slice(120)) await l2.put(page);
    const held = await heldOf(l2, pages);
    expect(held.length).toBeGreaterThan(60);
    expect(held.filter((pageId) => pageId < 120).length).toBeLessThan(10);
    // Whoever opens the cache next knows the order, too.
    await l2.store.close();
    const next = await open({ capacityBytes: 32 * MIB, clock });
    const more = pagesOf(300).slice(240);
    for (const page of more) await next.put(page);
    expect(await heldOf(next, more)).toHaveLength(more.length);
  });

  test('writes again what is hot in a segment that goes', async () => {
    const l2 = await open({ capacityBytes: 32 * MIB });
    const pages = pagesOf(180);
    const hot = pages.slice(0, 6);
    for (const page of pages) {
      l2.store.noteUse(page.page, false);
      await l2.put(page);
      for (const one of hot) {
        if (!(await l2.get(one))) continue;
        l2.store.noteUse(one.page, true);
      }
    }
    expect((await heldOf(l2, hot)).length).toBeGreaterThanOrEqual(4);
    expect((await heldOf(l2, pages.slice(6, 60))).length).toBeLessThan(10);
  });

  test('does not happen under retain: what is there stays', async () => {
    const l2 = await open({ capacityBytes: 16 * MIB, policyOf: () => 'retain' });
    const pages = pagesOf(100);
    for (const page of pages) await l2.put(page);
    const held = await heldOf(l2, pages);
    expect(held.length).toBeGreaterThan(30);
    expect(held).toEqual(held.map((_, index) => index));
    expect(l2.metrics.get('seekfs_l2_evicted_bytes_total')).toBe(0);
  });

  test('begins under retain only when every byte is taken, that of the open segment too', async () => {
    // Segments of 2 MiB, each with room for one page of 1 MiB and its head, or for six of 300,000 bytes;
    // what is left after 36 of those has room for five.
    for (const [len, pages] of [
      [MIB, 63],
      [300_000, 221],
    ] as const) {
      directory = await temporaryDirectory();
      const l2 = await open({ capacityBytes: 64 * MIB, policyOf: () => 'retain' });
      for (const page of pagesOf(pages + 10, len)) await l2.put(page);
      expect(await heldOf(l2, pagesOf(pages + 10, len))).toHaveLength(pages);
      expect(l2.metrics.get('seekfs_l2_evicted_bytes_total')).toBe(0);
    }
  });

  test.each([100_000, 250_000, 410_000])('does not happen for a page that was admitted, %i bytes', async (len) => {
    const memory = new MemoryGovernor({ limitBytes: 256 * MIB });
    const l2 = await open({ capacityBytes: 32 * MIB, policyOf: () => 'retain', memory });
    // All at once: what waits to be written counts as well.
    for (const page of pagesOf(Math.ceil((40 * MIB) / len), len)) {
      const run = await verifiedRun(memory, page);
      l2.store.insert(run);
      run.release();
    }
    await l2.store.drain();
    const pages = pagesOf(Math.ceil((80 * MIB) / len), len);
    for (const page of pages) await l2.put(page);
    expect(l2.metrics.get('seekfs_l2_evicted_bytes_total')).toBe(0);
    expect(l2.metrics.get('seekfs_l2_declined_total', { reason: 'room' })).toBe(0);
    expect((await heldOf(l2, pages)).length * len).toBeGreaterThan(29.5 * MIB);
  });

  test('takes dead pages first', async () => {
    const l2 = await open({ capacityBytes: 32 * MIB });
    const old = Array.from({ length: 40 }, (_, pageId) => testPage({ pageId, identity: 'sha256:old' }));
    const current = Array.from({ length: 40 }, (_, pageId) => testPage({ pageId, identity: 'sha256:new' }));
    for (let at = 0; at < 40; at += 1) {
      await l2.put(old[at]!);
      await l2.put(current[at]!);
    }
    l2.store.maintenance.knowDead((file) => file.identity === 'sha256:old');
    for (const page of pagesOf(50)) await l2.put(page);
    expect((await heldOf(l2, current)).length).toBe(40);
    expect((await heldOf(l2, old)).length).toBeLessThan(40);
  });

  test('finds dead pages in young segments as well', async () => {
    const l2 = await open({ capacityBytes: 32 * MIB });
    const live = pagesOf(93);
    const dead = Array.from({ length: 9 }, (_, pageId) => testPage({ path: 'dead', pageId }));
    // Three pages a segment: the dead ones fill the 23rd to the 25th.
    for (const page of [...live.slice(0, 66), ...dead, ...live.slice(66)]) await l2.put(page);
    expect(l2.metrics.get('seekfs_l2_evicted_bytes_total')).toBe(0);
    l2.store.maintenance.knowDead((file) => file.path === 'dead');
    const more = Array.from({ length: 12 }, (_, pageId) => testPage({ path: 'more', pageId }));
    for (const page of more) await l2.put(page);
    expect(await heldOf(l2, dead)).toHaveLength(0);
    expect(await heldOf(l2, [...live, ...more])).toHaveLength(105);
  });
});

describe('a quota', () => {
  test.each(['lru', 'retain'] as const)(
    'bounds each namespace under %s, and leaves the others alone',
    async (policy) => {
      const options = { capacityBytes: 64 * MIB, namespaceQuotaBytes: 8 * MIB, policyOf: () => policy };
      const l2 = await open(options);
      const of = (ns: string, count: number): TestPage[] =>
        Array.from({ length: count }, (_, pageId) => {
          const { page, bytes } = testPage({ path: ns, pageId });
          return { page: { ...page, ns }, bytes };
        });
      const [small, large] = [of('small', 20), of('large', 120)];
      for (const page of small) await l2.put(page);
      for (const page of large) await l2.put(page);
      const held = await heldOf(l2, large);
      expect(held.length * 300_000).toBeLessThanOrEqual(8 * MIB);
      expect(held.length * 300_000).toBeGreaterThan(4 * MIB);
      expect(held.at(-1) === 119).toBe(policy === 'lru');
      expect(await heldOf(l2, small)).toHaveLength(20);
      await l2.store.close();
      // The next process counts what is there before it adds to it.
      const again = await open(options);
      for (const page of of('large', 140).slice(120)) await again.put(page);
      expect((await heldOf(again, of('large', 140))).length * 300_000).toBeLessThanOrEqual(8 * MIB);
    },
  );
});

describe('cleaning', () => {
  test('drops the pages of dead files and gives their bytes back', async () => {
    const l2 = await open({ capacityBytes: 64 * MIB });
    const dead = Array.from({ length: 40 }, (_, pageId) => testPage({ path: 'dead', pageId }));
    const live = Array.from({ length: 4 }, (_, pageId) => testPage({ path: 'live', pageId }));
    for (const page of [...dead, ...live]) await l2.put(page);
    await l2.store.close();
    const before = bytesOnDisk();
    const again = await open({ capacityBytes: 64 * MIB });
    again.store.maintenance.knowDead((file) => file.path === 'dead');
    const result = await again.store.maintenance.clean();
    expect(result?.freedBytes).toBeGreaterThan(39 * 300_000);
    expect(bytesOnDisk()).toBeLessThan(before - 39 * 300_000);
    expect(await heldOf(again, live)).toHaveLength(4);
    expect(await heldOf(again, dead)).toHaveLength(0);
  });

  test('merges the short segments that many commands leave, and joins the runs of a page', async () => {
    const page = testPage({ len: 12 * GRANULE_BYTES });
    for (let granule = 0; granule < 12; granule += 1) {
      const one = await openTestStore(directory);
      await one.put(page, { first: granule, count: 1 });
      await one.store.close();
    }
    expect(segments()).toHaveLength(12);
    const l2 = await open();
    await l2.store.maintenance.upkeep();
    expect(segments()).toHaveLength(1);
    expect(await l2.get(page)).toBeDefined();
    const fresh = await open();
    expect(await fresh.get(page)).toBeDefined();
    // One record: a read of all of it opens one segment once and needs one head.
    expect(bytesOnDisk()).toBeLessThan(12 * GRANULE_BYTES + 6000);
  });

  test('leaves a reader who knew the old segments with hits', async () => {
    const page = testPage({ len: 10 * GRANULE_BYTES });
    for (let granule = 0; granule < 10; granule += 1) {
      const one = await openTestStore(directory);
      await one.put(page, { first: granule, count: 1 });
      await one.store.close();
    }
    const reader = await open();
    const cleaner = await open();
    await cleaner.store.maintenance.upkeep();
    expect(segments()).toHaveLength(1);
    expect(await reader.get(page)).toBeDefined();
  });

  test('ends the segments of writers that died, and not those of writers that live', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    const live = await open();
    await live.put(testPage({ path: 'live' }));
    await nodeDisk.makeDirectory(join(directory, 'segments'));
    const dead = await SegmentWriter.create({
      disk: nodeDisk,
      directoryPath: join(directory, 'segments'),
      id: Buffer.alloc(16, 7),
      reservedBytes: MIB,
      owner: JSON.stringify({ ...(await currentProcess()), pid: child.pid }),
      nowMs: 0,
    });
    const sealed = await openTestStore(directory);
    await sealed.put(testPage({ path: 'sealed' }));
    await sealed.store.close();
    expect(segments().filter((name) => name.endsWith('.open'))).toHaveLength(2);
    const cleaner = await open();
    expect(await cleaner.store.maintenance.clean()).toBeDefined();
    const names = segments().filter((name) => name.endsWith('.open'));
    expect(names).toHaveLength(1);
    expect(names[0]).not.toBe(dead.openName);
    expect(await live.get(testPage({ path: 'live' }))).toBeDefined();
    await dead.abandon();
  });

  test.each([
    { reads: 0, pauses: 4 },
    { reads: 3, pauses: 7 },
    { reads: Infinity, pauses: 4 * 51 },
  ])('makes $pauses pauses for four records where pages are read in the first $reads', async ({ reads, pauses }) => {
    const live = pagesOf(4);
    const dead = Array.from({ length: 8 }, (_, pageId) => testPage({ path: 'dead', pageId }));
    const first = await open();
    for (const page of [...live, ...dead]) await first.put(page);
    await first.store.close();
    const read = testPage({ path: 'read' });
    const second = await open();
    await second.put(read);
    let made = 0;
    let leastMs = Infinity;
    const clock: Clock = {
      ...systemClock,
      sleep: async (delayMs, signal) => {
        // Not those of who closes idle files.
        if (delayMs >= 1000) return systemClock.sleep(delayMs, signal);
        made += 1;
        leastMs = Math.min(leastMs, delayMs);
        if (made <= reads) await cleaner.get(read);
      },
    };
    const cleaner = await open({ clock });
    cleaner.store.maintenance.knowDead((file) => file.path === 'dead');
    expect((await cleaner.store.maintenance.clean())?.removedSegments).toBe(1);
    expect(made).toBe(pauses);
    // Of a record of 300,000 bytes at 256 MiB a second; those for readers are longer.
    expect(leastMs).toBeGreaterThan(1.1);
    expect(leastMs).toBeLessThan(1.2);
    expect(await heldOf(cleaner, live)).toHaveLength(4);
  });

  test('is left to the process that holds the lock', async () => {
    const lock = await new LockFile({ disk: nodeDisk, directory: join(directory, 'lock') }).tryAcquire();
    const l2 = await open();
    expect(await l2.store.maintenance.clean()).toBeUndefined();
    await lock!.release();
    expect(await l2.store.maintenance.clean()).toBeDefined();
  });

  test.each(['index.bin', 'index.sqlite', 'cache.json'])('names the directory that is in place of %s', async (name) => {
    const l2 = await open();
    await l2.put(testPage());
    rmSync(join(directory, name), { force: true });
    mkdirSync(join(directory, name));
    const says = `cannot maintain the cache: ${join(directory, name)} is a directory where a file of the cache belongs; move it away`;
    const expected = { code: 'cache_corrupt', message: says };
    await expect(l2.store.maintenance.clean()).rejects.toMatchObject(expected);
    await expect(l2.store.maintenance.repair([])).rejects.toMatchObject(expected);
    expect(await l2.get(testPage())).toBeDefined();
  });
});

test('an index that cannot be written keeps no page out of a full cache, and is not begun for each of them', async () => {
  mkdirSync(join(directory, 'index.bin'));
  // More than may be unsaved, so that whoever makes room next writes a checkpoint.
  const before = await open({ capacityBytes: 32 * MIB });
  for (let pageId = 0; pageId < 4100; pageId += 1) await before.put(testPage({ path: 'small', pageId, len: 100 }));
  await before.store.close();
  const l2 = await open({ capacityBytes: 32 * MIB });
  for (const page of pagesOf(180)) {
    await l2.put(page);
    expect(await l2.get(page)).toBeDefined();
  }
  expect(l2.logger.lines).toEqual([
    `info: maintenance of the cache in ${join(directory, 'segments')} broke off (EISDIR)`,
  ]);
});

test.each([2, 4])('%i writers with one small cache stay within its capacity together', async (count) => {
  const stores: TestStore[] = [];
  while (stores.length < count) stores.push(await open({ capacityBytes: 32 * MIB }));
  const writers = stores.map(async (l2, number) => {
    for (const page of Array.from({ length: 240 / count }, (_, pageId) => testPage({ path: `w${number}`, pageId }))) {
      await l2.put(page);
      // A thirty-second more while pages are written again.
      expect(bytesOnDisk()).toBeLessThanOrEqual(33 * MIB);
    }
  });
  await Promise.all(writers);
  expect(stores.flatMap(({ logger }) => logger.lines)).toEqual([]);
  const evicted = stores.map(({ metrics }) => metrics.get('seekfs_l2_evicted_bytes_total'));
  expect(evicted.reduce((sum, bytes) => sum + bytes)).toBeGreaterThan(30 * MIB);
  const declined = stores.map(({ metrics }) => metrics.get('seekfs_l2_declined_total', { reason: 'room' }));
  expect(declined).toEqual(stores.map(() => 0));
});

test.each([2, 4])('%i writers leave the free-space reserve alone together, whatever the capacity', async (count) => {
  const disk = new CrashDisk({ totalBytes: 64 * MIB });
  await disk.makeDirectory('/cache');
  const reserveBytes = 40 * MIB;
  const stores: TestStore[] = [];
  while (stores.length < count) {
    const options = { disk, policyOf: () => 'lru' as const, capacityBytes: 320 * MIB, freeReserveBytes: reserveBytes };
    stores.push(await openTestStore('/cache', options));
  }
  const writers = stores.map(async (l2, number) => {
    for (let pageId = 0; pageId < 240 / count; pageId += 1) {
      await l2.put(testPage({ path: `w${number}`, pageId }));
      expect(disk.totalBytes - disk.usedBytes).toBeGreaterThanOrEqual(reserveBytes);
    }
  });
  await Promise.all(writers);
  expect(stores.flatMap(({ logger }) => logger.lines)).toEqual([]);
  // It came close, and evicted rather than decline for ever.
  expect(disk.usedBytes).toBeGreaterThan(8 * MIB);
  const evicted = stores.map(({ metrics }) => metrics.get('seekfs_l2_evicted_bytes_total'));
  expect(evicted.reduce((sum, bytes) => sum + bytes)).toBeGreaterThan(8 * MIB);
  for (const { store, memory } of stores) {
    await store.close();
    expect(memory.inUseBytes).toBe(0);
  }
  expect(disk.openFiles).toBe(0);
});

test('a writer that was taken for dead, and sealed by another, ends without an error', async () => {
  const l2 = await open();
  await l2.put(testPage());
  const [name] = segments();
  renameSync(join(directory, 'segments', name!), join(directory, 'segments', `${name!.slice(0, 32)}.seg`));
  await l2.store.close();
  expect(l2.logger.lines).toEqual([]);
  const again = await open();
  expect(await again.get(testPage())).toBeDefined();
});
