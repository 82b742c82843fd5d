import { beforeEach, describe, expect, test } from 'vitest';
import { MemoryGovernor } from '../../../src/lib/base/memory.ts';
import { MIB } from '../../../src/lib/base/units.ts';
import type { Disk } from '../../../src/lib/disk/disk.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
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
        write: async (buffers, position) => {
          if (position > 0) {
            writing.resolve();
            await gate.promise;
          }
          await file.write(buffers, position);
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

describe('the write queue', () => {
  test('takes everything that the memory limit lets in, and keeps all of it', async () => {
    const memory = new MemoryGovernor({ limitBytes: 8 * MIB });
    const l2 = await openTestStore(directory, { memory });
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

  test('gives up what waits when the disk stands still, and takes pages again when it moves', async () => {
    const clock = manualClock();
    const { disk, open, writing } = gatedDisk();
    const l2 = await openTestStore(directory, { disk, clock });
    const offer = async (pageId: number): Promise<boolean> => {
      const run = await verifiedRun(l2.memory, testPage({ pageId }));
      const taken = l2.store.insert(run);
      run.release();
      return taken;
    };
    expect(await offer(0)).toBe(true);
    await writing;
    expect(await offer(1)).toBe(true);
    expect(await offer(2)).toBe(true);
    clock.advance(1000);
    await expect.poll(() => l2.metrics.get('seekfs_l2_declined_total', { reason: 'stalled' })).toBe(2);
    expect(await offer(3)).toBe(false);
    open();
    await l2.store.drain();
    expect(await offer(4)).toBe(true);
    await l2.store.drain();
    const held = await Promise.all([0, 1, 2, 3, 4].map((pageId) => l2.get(testPage({ pageId }))));
    expect(held.map((bytes) => bytes !== undefined)).toEqual([true, false, false, false, true]);
    await l2.store.close();
    expect(l2.memory.inUseBytes).toBe(0);
  });
});
