import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { MIB } from '../../../src/lib/base/units.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { openTestStore, testPage } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

/** The time limit of the test comes first. */
const PATIENTLY = { timeout: 600_000 };
let directory: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
});

/** Files of the cache that this process holds open. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(join(directory, 'segments', '')) ? [target] : [];
    } catch {
      return [];
    }
  });
}

async function fill(pages: number): Promise<void> {
  const writer = await openTestStore(directory, { capacityBytes: 32 * MIB });
  for (let pageId = 0; pageId < pages; pageId += 1) await writer.put(testPage({ pageId, len: MIB - 5000 }));
  await writer.store.close();
}

test('files that nobody uses for a while are closed, and opened again when they are', async () => {
  await fill(3);
  const clock = manualClock();
  const l2 = await openTestStore(directory, { clock });
  for (const pageId of [0, 1, 2]) expect(await l2.get(testPage({ pageId, len: MIB - 5000 }))).toBeDefined();
  expect(openFiles()).toHaveLength(3);
  await expect.poll(() => clock.sleeping, PATIENTLY).toBe(1);
  clock.advance(10_000);
  await expect.poll(() => openFiles(), PATIENTLY).toEqual([]);
  expect(await l2.get(testPage({ pageId: 1, len: MIB - 5000 }))).toBeDefined();
  await l2.store.close();
  expect(openFiles()).toEqual([]);
});

test('a reader that finds everything lets go of a segment that another process removed', async () => {
  await fill(3);
  const clock = manualClock();
  const reader = await openTestStore(directory, { clock });
  for (const pageId of [0, 1]) expect(await reader.get(testPage({ pageId, len: MIB - 5000 }))).toBeDefined();
  const cleaner = await openTestStore(directory);
  cleaner.store.maintenance.knowDead((file) => file.path === 'a.bin');
  await cleaner.store.maintenance.clean();
  await cleaner.store.close();
  expect(readdirSync(join(directory, 'segments'))).toEqual([]);
  // It has the file open: what it knows, it still reads.
  expect(await reader.get(testPage({ pageId: 0, len: MIB - 5000 }))).toBeDefined();
  expect(openFiles().length).toBeGreaterThan(0);
  clock.advance(6000);
  await reader.get(testPage({ pageId: 0, len: MIB - 5000 }));
  await expect.poll(() => openFiles(), PATIENTLY).toEqual([]);
  expect(await reader.get(testPage({ pageId: 0, len: MIB - 5000 }))).toBeUndefined();
  await reader.store.close();
});

test('no more than 64 files are open at once', async () => {
  // Large enough not to be merged, small enough that many fit.
  const pages = Array.from({ length: 70 }, (_, pageId) => testPage({ pageId, len: 400_000 }));
  for (const page of pages) {
    const one = await openTestStore(directory, { capacityBytes: 32 * MIB });
    await one.put(page);
    await one.store.close();
  }
  expect(readdirSync(join(directory, 'segments'))).toHaveLength(70);
  const l2 = await openTestStore(directory);
  for (const page of pages) expect(await l2.get(page)).toBeDefined();
  await expect.poll(() => openFiles().length, PATIENTLY).toBe(64);
  await l2.store.close();
  expect(openFiles()).toEqual([]);
});
