import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { MemoryGovernor, SLAB_BYTES } from '../../../src/lib/base/memory.ts';
import { MIB } from '../../../src/lib/base/units.ts';
import type { Disk } from '../../../src/lib/disk/disk.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import { layoutOf } from '../../../src/lib/cache/layout.ts';
import { PATIENCE_MS, WAIT_MS } from '../../../src/lib/cache/write-queue.ts';
import { CrashDisk } from '../../support/crash-disk.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import { manualClock } from '../../support/manual-clock.ts';
import {
  openTestStore,
  testPage,
  verifiedRun,
  type TestPage,
  type TestStoreOptions,
} from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { watchedWrites } from '../../support/watched-writes.ts';

let directory: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
});

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve: () => resolve() };
}

/** A disk whose writes of records do not finish before `open` is called. */
function gatedDisk(): { disk: Disk; open: () => void; writing: Promise<void> } {
  const gate = deferred();
  const writing = deferred();
  const disk: Disk = {
    ...nodeDisk,
    open: async (path, mode) => {
      const file = await nodeDisk.open(path, mode);
      if (!path.includes('segments') || mode !== 'create') return file;
      return {
        read: (buffers, position) => file.read(buffers, position),
        write: async (buffers, position, options) => {
          if (position > 0) {
            writing.resolve();
            await gate.promise;
          }
          await file.write(buffers, position, options);
        },
        sync: () => file.sync(),
        truncate: (sizeBytes) => file.truncate(sizeBytes),
        stat: () => file.stat(),
        close: () => file.close(),
      };
    },
  };
  return { disk, open: gate.resolve, writing: writing.promise };
}

/** A disk that notes of each write of records whether it was to go past the page cache. */
function notingDisk(): { disk: Disk; direct: (boolean | undefined)[] } {
  const direct: (boolean | undefined)[] = [];
  const disk = watchedWrites(nodeDisk, (write, [, position, options], mode) => {
    if (position > 0 && mode === 'create') direct.push(options?.direct);
    return write();
  });
  return { disk, direct };
}

test.each([
  [undefined, false],
  [true, true],
])('what is read once (%o) is written past the page cache, and nothing else', async (readsOnce, expected) => {
  const { disk, direct } = notingDisk();
  const l2 = await openTestStore(directory, { disk, readsOnce, clock: manualClock() });
  const page = testPage({ len: MIB });
  await l2.put(page);
  expect(direct).toEqual([expected]);
  expect(await l2.get(page)).toBeDefined();
  await l2.store.close();
});

describe('what waits in half of the memory while a reader waits for more', () => {
  const RUN_BYTES = 2 * GRANULE_BYTES;
  const PAGE_RUNS = 32;
  const MEMORY_BYTES = 128 * MIB;
  /** As many as are behind; and as many as one burst has. */
  const BEHIND_RUNS = 256;
  const BURST_RUNS = 64;

  /** Of two files, in turn. */
  const largePage = (pageId: number): TestPage =>
    testPage({ pageId, path: pageId % 2 ? 'a.bin' : 'b.bin', len: PAGE_RUNS * RUN_BYTES });

  /** A store with so many runs of two granules, offered in one turn of the event loop. */
  async function offered(runs: number, options: TestStoreOptions & { patient?: boolean; reader?: boolean } = {}) {
    const memory = new MemoryGovernor({ limitBytes: MEMORY_BYTES });
    const { clock = manualClock() } = options;
    const l2 = await openTestStore(directory, { capacityBytes: 4096 * MIB, ...options, clock, memory });
    const pages = Array.from({ length: Math.ceil(runs / PAGE_RUNS) }, (_, pageId) => largePage(pageId));
    const ends = new Map<number, number>();
    const offer = async (count: number): Promise<void> => {
      const verified = [];
      for (let index = 0; index < count; index += 1) {
        const span = { first: (index % PAGE_RUNS) * 2, count: 2 };
        verified.push(await verifiedRun(memory, pages[Math.floor(index / PAGE_RUNS)]!, span));
      }
      // More than there is: until the first burst is written.
      const wanted = options.reader === false ? 0 : (MEMORY_BYTES - count * RUN_BYTES) / SLAB_BYTES + 1;
      const lengths = Array.from({ length: wanted }, () => SLAB_BYTES);
      const reading = memory.acquire(lengths, { lane: 'demand' });
      void reading.then((slabs) => slabs?.forEach((slab) => slab.release()));
      for (const [index, run] of verified.entries()) {
        const onWritten = (): void => void ends.set(index, (ends.get(index) ?? 0) + 1);
        expect(l2.store.insert(run, { patient: options.patient, onWritten })).toBe(true);
        run.release();
      }
    };
    await offer(runs);
    const resident = async (): Promise<number> => {
      let found = 0;
      for (let index = 0; index < runs; index += 1) {
        const range = { off: (index % PAGE_RUNS) * RUN_BYTES, len: RUN_BYTES };
        if (await l2.get(pages[Math.floor(index / PAGE_RUNS)]!, range)) found += 1;
      }
      return found;
    };
    return { l2, memory, ends, offer, resident };
  }

  const eachOnce = (runs: number): Map<number, number> =>
    new Map(Array.from({ length: runs }, (_, index) => [index, 1]));
  const sorted = (ends: ReadonlyMap<number, number>): Map<number, number> =>
    new Map([...ends].sort(([a], [b]) => a - b));

  test('is written together, a part of the memory at once, and past the page cache', async () => {
    const { disk, direct } = notingDisk();
    const { l2, memory, ends, resident } = await offered(BEHIND_RUNS, { disk });
    await l2.store.drain();
    expect(direct).toEqual(Array.from({ length: BEHIND_RUNS / BURST_RUNS }, () => true));
    expect([memory.inUseBytes, sorted(ends)]).toEqual([0, eachOnce(BEHIND_RUNS)]);
    expect(l2.metrics.get('seekfs_l2_written_bytes_total')).toBe(BEHIND_RUNS * RUN_BYTES);
    expect(await resident()).toBe(BEHIND_RUNS);
    await l2.store.close();
  });

  test('is written so for a while, then run by run again', async () => {
    const { disk, direct } = notingDisk();
    const clock = manualClock();
    const { l2, offer } = await offered(BEHIND_RUNS, { disk, clock });
    await l2.store.drain();
    for (const [runs, expected] of [
      [BURST_RUNS - 1, false],
      [BURST_RUNS, true],
      [BURST_RUNS, false],
    ] as const) {
      direct.length = 0;
      l2.store.drop(largePage(0).page, { first: 0, count: 2 * PAGE_RUNS });
      l2.store.drop(largePage(1).page, { first: 0, count: 2 * PAGE_RUNS });
      await offer(runs);
      await l2.store.drain();
      expect([...new Set(direct)]).toEqual([expected]);
      if (runs === BURST_RUNS) clock.advance(10_000);
    }
    await l2.store.close();
  });

  test.each([
    ['less waits', BEHIND_RUNS / 2, {}],
    ['no reader waits', BEHIND_RUNS, { reader: false }],
    ['nobody waits for what was fetched', BEHIND_RUNS, { patient: true }],
    ['there is a quota', BEHIND_RUNS, { namespaceQuotaBytes: 4096 * MIB }],
  ])('is written run by run where %s', async (_, runs, options) => {
    const { disk, direct } = notingDisk();
    const { l2, resident } = await offered(runs, { disk, ...options });
    await l2.store.drain();
    expect(direct).toEqual(Array.from({ length: runs }, () => false));
    expect(await resident()).toBe(runs);
    await l2.store.close();
  });

  test('goes through the page cache where the disk is the slow one', async () => {
    const { disk, direct } = notingDisk();
    const clock = manualClock();
    const slow = watchedWrites(disk, async (write, [, , options]) => {
      await write();
      if (options?.direct) clock.advance(400);
    });
    const { l2, resident } = await offered(BEHIND_RUNS, { disk: slow, clock });
    await l2.store.drain();
    expect(direct).toEqual([true, false, false, false]);
    expect(await resident()).toBe(BEHIND_RUNS);
    await l2.store.close();
  });

  test('fills one segment after the other', async () => {
    const { l2, memory, ends, resident } = await offered(BEHIND_RUNS, { capacityBytes: 256 * MIB });
    await l2.store.drain();
    expect([memory.inUseBytes, sorted(ends)]).toEqual([0, eachOnce(BEHIND_RUNS)]);
    const { segments } = layoutOf(directory);
    const stats = await Promise.all((await nodeDisk.list(segments)).map((name) => nodeDisk.stat(join(segments, name))));
    expect(stats.length).toBeGreaterThan(2);
    expect(Math.max(...stats.map(({ sizeBytes }) => sizeBytes))).toBeLessThanOrEqual((256 * MIB) / 32);
    expect(l2.metrics.get('seekfs_l2_written_bytes_total')).toBe(BEHIND_RUNS * RUN_BYTES);
    expect(await resident()).toBe(BEHIND_RUNS);
    await l2.store.close();
    const again = await openTestStore(directory, { capacityBytes: 256 * MIB });
    expect(await again.get(largePage(7))).toBeDefined();
    await again.store.close();
  });

  test('is all written where a write of many fails once', async () => {
    const disk = new FaultDisk(nodeDisk);
    // The header of the segment and the first burst succeed; half of the second is on the disk.
    disk.fail({ code: 'EIO', operations: ['write'], path: /segments/, skip: 2, times: 1 });
    const { l2, memory, ends, resident } = await offered(BEHIND_RUNS, { disk });
    await l2.store.drain();
    expect(disk.fired).toBe(1);
    expect([memory.inUseBytes, sorted(ends)]).toEqual([0, eachOnce(BEHIND_RUNS)]);
    expect(l2.metrics.get('seekfs_l2_declined_total', { reason: 'disk' })).toBe(0);
    expect(await resident()).toBe(BEHIND_RUNS);
    await l2.store.close();
  });

  test.each(['ENOSPC', 'EIO'] as const)(
    'is given up where the disk fails for good (%s), and what was written is right',
    async (code) => {
      const disk = new FaultDisk(nodeDisk);
      disk.fail({ code, operations: ['write'], path: /segments/, skip: 2 });
      const { l2, memory, ends, resident } = await offered(BEHIND_RUNS, { disk });
      await l2.store.drain();
      // The burst, and the first run of it alone.
      expect(disk.fired).toBe(2);
      expect([memory.inUseBytes, sorted(ends)]).toEqual([0, eachOnce(BEHIND_RUNS)]);
      expect(l2.metrics.get('seekfs_l2_declined_total', { reason: 'disk' })).toBe(BEHIND_RUNS - BURST_RUNS);
      expect(l2.metrics.get('seekfs_l2_write_failures_total')).toBe(1);
      expect(await resident()).toBeLessThanOrEqual(BURST_RUNS);
      disk.heal();
      await l2.store.close();
    },
  );
});

describe('the write queue', () => {
  test('takes everything that the memory limit lets in, and keeps all of it', async () => {
    const memory = new MemoryGovernor({ limitBytes: 8 * MIB });
    // Time stands still, so that the disk never does.
    const l2 = await openTestStore(directory, { memory, clock: manualClock() });
    const pages = Array.from({ length: 30 }, (_, pageId) => testPage({ pageId, len: 2 * MIB }));
    for (const page of pages) {
      const run = await verifiedRun(memory, page);
      expect(l2.store.insert(run)).toBe(true);
      run.release();
    }
    await l2.store.drain();
    expect(memory.inUseBytes).toBe(0);
    for (const page of pages) expect(await l2.get(page)).toBeDefined();
    await l2.store.close();
  });

  /** A store on a disk that stands still, with the first of its pages in the write that hangs. */
  async function stalledStore(memory?: MemoryGovernor) {
    const clock = manualClock();
    const { disk, open, writing } = gatedDisk();
    const l2 = await openTestStore(directory, { disk, clock, ...(memory && { memory }) });
    const offer = async (pageId: number, patient = false): Promise<boolean> => {
      const run = await verifiedRun(l2.memory, testPage({ pageId }));
      const taken = l2.store.insert(run, { patient });
      run.release();
      return taken;
    };
    expect(await offer(0)).toBe(true);
    await writing;
    const stalled = (): number => l2.metrics.get('seekfs_l2_declined_total', { reason: 'stalled' });
    const looksAgain = async (): Promise<void> => {
      while (clock.sleeping !== 1) await new Promise((resolve) => setImmediate(resolve));
    };
    /** The watch looks once a second. */
    const standStill = async (seconds: number): Promise<void> => {
      for (let second = 0; second < seconds; second += 1) {
        await looksAgain();
        clock.advance(1000);
      }
      await looksAgain();
    };
    /** Nobody runs this process for that long. */
    const oversleep = async (seconds: number): Promise<void> => {
      await looksAgain();
      clock.advance(1000 * seconds);
      await looksAgain();
    };
    const held = async (count: number): Promise<boolean[]> => {
      const pages = Array.from({ length: count }, (_, pageId) => l2.get(testPage({ pageId })));
      return (await Promise.all(pages)).map((bytes) => bytes !== undefined);
    };
    return { l2, open, offer, stalled, standStill, oversleep, held };
  }

  test('gives up what waits when the disk stands still, and takes pages again when it moves', async () => {
    const { l2, open, offer, stalled, standStill, held } = await stalledStore();
    expect(await offer(1)).toBe(true);
    expect(await offer(2)).toBe(true);
    await standStill(WAIT_MS / 1000 - 1);
    expect(stalled()).toBe(0);
    await standStill(1);
    expect(stalled()).toBe(2);
    expect(await offer(3)).toBe(false);
    open();
    await l2.store.drain();
    expect(await offer(4)).toBe(true);
    await l2.store.drain();
    expect(await held(5)).toEqual([true, false, false, false, true]);
    await l2.store.close();
    expect(l2.memory.inUseBytes).toBe(0);
  });

  test('blames no disk for the time in which the process itself was not run', async () => {
    const { l2, open, offer, stalled, standStill, oversleep } = await stalledStore();
    expect(await offer(1)).toBe(true);
    await oversleep((2 * WAIT_MS) / 1000);
    expect(stalled()).toBe(0);
    await standStill(WAIT_MS / 1000);
    expect(stalled()).toBe(1);
    open();
    await l2.store.close();
    expect(l2.memory.inUseBytes).toBe(0);
  });

  test('keeps what was fetched for the cache alone, and goes on taking it, while the disk stands still', async () => {
    const { l2, open, offer, stalled, standStill, held } = await stalledStore();
    expect(await offer(1, true)).toBe(true);
    expect(await offer(2)).toBe(true);
    await standStill(10);
    expect(await offer(3, true)).toBe(true);
    await standStill(10);
    expect(stalled()).toBe(1);
    open();
    await l2.store.drain();
    expect(await held(4)).toEqual([true, true, false, true]);
    await l2.store.close();
    expect(l2.memory.inUseBytes).toBe(0);
  });

  test.each([true, false])('gives everything up once a reader waits for the memory (patient: %s)', async (patient) => {
    const memory = new MemoryGovernor({ limitBytes: MIB });
    const { l2, open, offer, stalled, standStill } = await stalledStore(memory);
    expect(await offer(1, patient)).toBe(true);
    const reading = memory.acquire([GRANULE_BYTES, GRANULE_BYTES, GRANULE_BYTES], { lane: 'demand' });
    await standStill(1);
    expect(stalled()).toBe(1);
    for (const slab of (await reading) ?? []) slab.release();
    open();
    await l2.store.close();
    expect(memory.inUseBytes).toBe(0);
  });

  test('gives up what was fetched for the cache alone when half a minute is over', async () => {
    const { l2, open, offer, stalled, standStill } = await stalledStore();
    expect(await offer(1, true)).toBe(true);
    await standStill(PATIENCE_MS / 1000 - 1);
    expect(stalled()).toBe(0);
    await standStill(1);
    expect(stalled()).toBe(1);
    open();
    await l2.store.close();
    expect(l2.memory.inUseBytes).toBe(0);
  });

  test('tries a patient run again when the disk failed, and gives it up where that cannot pass', async () => {
    for (const [code, times, isThere] of [
      ['EIO', 4, true],
      ['EIO', Infinity, false],
      ['EROFS', 1, false],
    ] as const) {
      const faulty = new FaultDisk(new CrashDisk());
      const clock = manualClock();
      const l2 = await openTestStore('/cache', { disk: faulty, clock });
      faulty.fail({ code, operations: ['write'], path: /segments/, times });
      const page = testPage();
      const run = await verifiedRun(l2.memory, page);
      expect(l2.store.insert(run, { patient: true })).toBe(true);
      run.release();
      const drained = l2.store.drain();
      const state = { done: false };
      void drained.then(() => (state.done = true));
      while (!state.done) {
        await new Promise((resolve) => setImmediate(resolve));
        if (clock.sleeping > 0) clock.advance(100);
      }
      expect((await l2.get(page)) !== undefined, code).toBe(isThere);
      expect(faulty.fired).toBeGreaterThan(0);
      expect(l2.metrics.get('seekfs_l2_declined_total', { reason: 'disk' })).toBe(isThere ? 0 : 1);
      faulty.heal();
      await l2.store.close();
      expect(l2.memory.inUseBytes).toBe(0);
    }
  });
});
