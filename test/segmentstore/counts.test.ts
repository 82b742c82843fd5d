// What a warm read may cost: bytes and calls on the disk, and nothing left over afterwards.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { KIB, MIB } from '../../src/lib/base/units.ts';
import { CHECK_BLOCK_BYTES } from '../../src/lib/page/page.ts';
import { CrashDisk } from '../support/crash-disk.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { openTestStore, testPage, type TestStore } from '../support/segment-store.ts';

const CACHE = '/cache';
const PAGE = testPage({ len: 8 * MIB });

let inner: CrashDisk;
let disk: FaultDisk;
let store: TestStore;

beforeEach(async () => {
  inner = new CrashDisk();
  await inner.makeDirectory(CACHE);
  disk = new FaultDisk(inner);
  const writer = await openTestStore(CACHE, { disk });
  await writer.put(PAGE);
  await writer.store.close();
  disk = new FaultDisk(inner);
  store = await openTestStore(CACHE, { disk });
});

afterEach(async () => {
  await store.store.close();
  expect(store.memory.inUseBytes).toBe(0);
  expect(inner.openFiles).toBe(0);
});

async function costOf(range: { off: number; len: number }): Promise<{ bytes: number; reads: number; opens: number }> {
  const before = { bytes: disk.readBytes, reads: disk.count('read'), opens: disk.count('open') };
  expect(await store.get(PAGE, range)).toBeDefined();
  return {
    bytes: disk.readBytes - before.bytes,
    reads: disk.count('read') - before.reads,
    opens: disk.count('open') - before.opens,
  };
}

describe('a warm read of 4 KiB', () => {
  test('reads the head of the record once, with the checksums of its blocks, and then one or two check blocks', async () => {
    const blocks = PAGE.page.len / CHECK_BLOCK_BYTES;
    const first = await costOf({ off: 5 * MIB, len: 4 * KIB });
    expect(first.reads).toBe(2);
    // The fixed part of the head and the key are far below a kilobyte; the padding is less than a block of the file system.
    expect(first.bytes).toBeLessThanOrEqual(CHECK_BLOCK_BYTES + 4 * blocks + 5 * KIB);
    expect(first.opens).toBeLessThanOrEqual(1);
    const random = seededRandom(4096);
    for (let read = 0; read < 500; read += 1) {
      const off = Math.floor(random.unit() * (PAGE.page.len - 4 * KIB));
      const touched = Math.floor((off + 4 * KIB - 1) / CHECK_BLOCK_BYTES) - Math.floor(off / CHECK_BLOCK_BYTES) + 1;
      expect(touched).toBeLessThanOrEqual(2);
      const cost = await costOf({ off, len: 4 * KIB });
      expect(cost).toEqual({ bytes: touched * CHECK_BLOCK_BYTES, reads: 1, opens: 0 });
    }
  });

  test('in a process that has just started reads two check blocks and no other payload', async () => {
    const fresh = new FaultDisk(inner);
    const other = await openTestStore(CACHE, { disk: fresh });
    const opened = fresh.readBytes;
    // One segment: its header, and one read at its end that is sure to bring the footer.
    expect(opened).toBeLessThanOrEqual(65 * KIB);
    await other.get(PAGE, { off: CHECK_BLOCK_BYTES - 1, len: 4 * KIB });
    const blocks = PAGE.page.len / CHECK_BLOCK_BYTES;
    expect(fresh.readBytes - opened).toBeLessThanOrEqual(2 * CHECK_BLOCK_BYTES + 4 * blocks + 5 * KIB);
    await other.store.close();
  });

  test('a whole page is read once, without a byte twice', async () => {
    await costOf({ off: 0, len: 1 });
    expect(await costOf({ off: 0, len: PAGE.page.len })).toMatchObject({ bytes: PAGE.page.len, reads: 1 });
  });
});
