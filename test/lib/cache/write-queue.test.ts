import { beforeEach, describe, expect, test } from 'vitest';
import { MemoryGovernor } from '../../../src/lib/base/memory.ts';
import { MIB } from '../../../src/lib/base/units.ts';
import type { Disk } from '../../../src/lib/disk/disk.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import { PATIENCE_MS, WAIT_MS } from '../../../src/lib/cache/write-queue.ts';
import { CrashDisk } from '../../support/crash-disk.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { openTestStore, testPage, verifiedRun } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

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
  const disk: Disk = {
    ...nodeDisk,
    open: async (path, mode) => {
      const file = await nodeDisk.open(path, mode);
      const write = file.write.bind(file);
      return Object.assign(file, {
        write: (...of: Parameters<typeof write>) => {
          if (of[1] > 0 && mode === 'create') direct.push(of[2]?.direct);
          return write(...of);
        },
      });
    },
  };
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
