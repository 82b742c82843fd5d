import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { IDLE_MS_MAX } from '../../../src/lib/cache/log-writer.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { closeOpened, openToClose } from '../../support/opened-stores.ts';
import { testPage, type TestStore, type TestStoreOptions } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let directory: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
});

afterEach(closeOpened);

function open(options: TestStoreOptions = {}): Promise<TestStore> {
  return openToClose(directory, options);
}

function segments(): string[] {
  return readdirSync(join(directory, 'segments'));
}

describe('a segmentstore', () => {
  test('is empty at first, and creates nothing for a read', async () => {
    const l2 = await open();
    const page = testPage();
    expect(await l2.get(page)).toBeUndefined();
    expect((await l2.store.presence(page.page)).complete).toBe(false);
    expect(readdirSync(directory)).toEqual([]);
  });

  test('refuses a page that is too large for it as that, and not as one that retention passed over', async () => {
    const l2 = await open({ capacityBytes: 64 * 1024, policyOf: () => 'retain' });
    await l2.put(testPage({ len: 20_000 }));
    const declined = (reason: string): number => l2.metrics.get('seekfs_l2_declined_total', { reason });
    expect([declined('size'), declined('policy')]).toEqual([1, 0]);
  });

  test('gives back what was put, whole and in part, now and after a reopen', async () => {
    const page = testPage({ len: 3 * GRANULE_BYTES + 777 });
    const ranges = [
      { off: 0, len: page.page.len },
      { off: 0, len: 1 },
      { off: page.page.len - 1, len: 1 },
      { off: GRANULE_BYTES - 10, len: 20 },
      { off: 16_383, len: 2 },
      { off: 5, len: 2 * GRANULE_BYTES },
    ];
    const first = await open();
    await first.put(page);
    for (const range of ranges) expect(await first.get(page, range)).toHaveLength(range.len);
    await first.store.close();
    const second = await open();
    for (const range of ranges) expect(await second.get(page, range)).toHaveLength(range.len);
    expect(segments()).toHaveLength(1);
    expect(segments()[0]).toMatch(/\.seg$/);
  });

  test('merges runs of one page', async () => {
    const l2 = await open();
    const page = testPage({ len: 4 * GRANULE_BYTES });
    await l2.put(page, { first: 2, count: 1 });
    await l2.put(page, { first: 0, count: 1 });
    expect(await l2.get(page, { off: 2 * GRANULE_BYTES + 5, len: 100 })).toBeDefined();
    expect(await l2.get(page)).toBeUndefined();
    const bits = await l2.store.presence(page.page);
    expect([0, 1, 2, 3].map((granule) => bits.has(granule))).toEqual([true, false, true, false]);
    await l2.put(page);
    expect(await l2.get(page)).toHaveLength(page.page.len);
    expect(l2.metrics.get('seekfs_l2_written_bytes_total')).toBe(page.page.len);
  });

  test('does not take a page of another size, checksum or identity for the one asked for', async () => {
    const l2 = await open();
    const page = testPage({ len: 2 * GRANULE_BYTES });
    await l2.put(page);
    for (const other of [{ len: GRANULE_BYTES }, { crc32c: 7 }, { identity: 'sha256:other' }, { ns: 'other' }]) {
      expect(await l2.store.read({ ...page.page, ...other }, { off: 0, len: 10 }, {})).toBeUndefined();
    }
  });

  test('sees what another process wrote, while that one goes on writing', async () => {
    const writer = await open();
    const reader = await open();
    for (let pageId = 0; pageId < 5; pageId += 1) {
      const page = testPage({ pageId });
      await writer.put(page);
      await reader.store.refresh();
      expect(await reader.get(page)).toBeDefined();
    }
  });

  test('sees what another process wrote within a second, without being told and without being opened again', async () => {
    const clock = manualClock();
    const writer = await open();
    const reader = await open({ clock });
    const page = testPage();
    const isThere = async (): Promise<boolean> => (await reader.store.presence(page.page)).complete;
    expect(await isThere()).toBe(false);
    await writer.put(page);
    clock.advance(1000);
    expect(await isThere()).toBe(true);
    expect(await reader.get(page)).toBeDefined();
  });

  test('seals a segment that is full and begins another', async () => {
    const l2 = await open({ capacityBytes: 32 * 1024 * 1024 });
    const pages = Array.from({ length: 10 }, (_, pageId) => testPage({ pageId, len: 300_000 }));
    for (const page of pages) await l2.put(page);
    expect(segments().filter((name) => name.endsWith('.seg'))).toHaveLength(3);
    for (const page of pages) expect(await l2.get(page)).toBeDefined();
    const again = await open();
    for (const page of pages) expect(await again.get(page)).toBeDefined();
  });

  test('ends a segment that it left alone so long that others may count it as abandoned', async () => {
    const clock = manualClock();
    const l2 = await open({ clock });
    const pages = [0, 1, 2].map((pageId) => testPage({ pageId }));
    await l2.put(pages[0]!);
    clock.advance(IDLE_MS_MAX);
    await l2.put(pages[1]!);
    expect(segments()).toHaveLength(1);
    clock.advance(IDLE_MS_MAX + 1);
    await l2.put(pages[2]!);
    expect(segments().filter((name) => name.endsWith('.seg'))).toHaveLength(1);
    expect(segments()).toHaveLength(2);
    for (const page of pages) expect(await l2.get(page)).toBeDefined();
  });

  test('declines what does not fit its bounds, and serves what it has', async () => {
    const l2 = await open({ capacityBytes: 2 * 1024 * 1024 });
    const pages = Array.from({ length: 20 }, (_, pageId) => testPage({ pageId, len: 300_000 }));
    for (const page of pages) await l2.put(page);
    const held = [];
    for (const page of pages) if (await l2.get(page)) held.push(page);
    expect(held.length).toBeGreaterThanOrEqual(4);
    expect(held.length).toBeLessThan(7);
    expect(l2.metrics.get('seekfs_l2_declined_total', { reason: 'policy' })).toBeGreaterThan(0);
  });
});
