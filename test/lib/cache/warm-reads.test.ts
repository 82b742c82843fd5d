import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MIB } from '../../../src/lib/base/units.ts';
import type { Disk } from '../../../src/lib/disk/disk.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { CHECK_BLOCK_BYTES, GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { joined, openTestStore, testPage, type TestPage, type TestStore } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const PAGE = testPage({ len: 2 * MIB + 5000 });
const clock = manualClock();
let directory: string;
let l2: TestStore;
let reads = { later: 0, now: 0 };
/** In place of the next read that is done at once. */
let fault: (() => never) | undefined;

const disk: Disk = {
  ...nodeDisk,
  open: async (path, mode) => {
    const file = await nodeDisk.open(path, mode);
    const [read, readNow] = [file.read.bind(file), file.readNow!.bind(file)];
    return Object.assign(file, {
      read: (...rest: Parameters<typeof read>) => {
        reads.later += 1;
        return read(...rest);
      },
      readNow: (...rest: Parameters<typeof readNow>) => {
        reads.now += 1;
        fault?.();
        return readNow(...rest);
      },
    });
  },
};

beforeEach(async () => {
  directory = await temporaryDirectory();
  fault = undefined;
  l2 = await openTestStore(directory, { disk, clock });
});

afterEach(async () => {
  await l2.store.close();
  expect(l2.memory.inUseBytes).toBe(0);
});

/** How the range was read, after a look at its bytes. */
async function way(range: { off: number; len: number }, page: TestPage = PAGE): Promise<typeof reads | undefined> {
  reads = { later: 0, now: 0 };
  const read = l2.store.read(page.page, range, {});
  const atOnce = !(read instanceof Promise);
  const slabs = await read;
  if (!slabs) return undefined;
  expect(joined(slabs).equals(page.bytes.subarray(range.off, range.off + range.len))).toBe(true);
  expect(atOnce).toBe(reads.later === 0);
  return reads;
}

async function flip(offset: number): Promise<void> {
  const [name] = await readdir(join(directory, 'segments'));
  const file = await open(join(directory, 'segments', name!), 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, offset);
  await file.write(Buffer.from([byte[0]! ^ 1]), 0, 1, offset);
  await file.close();
}

test('what was read before is read at once, and nothing else is', async () => {
  await l2.put(PAGE);
  const some = { off: 2 * CHECK_BLOCK_BYTES - 100, len: 4096 };
  expect(await way(some)).toMatchObject({ now: 0 });
  expect(await way(some)).toEqual({ later: 0, now: 1 });
  expect(await way({ off: CHECK_BLOCK_BYTES, len: 2 * CHECK_BLOCK_BYTES })).toEqual({ later: 0, now: 1 });
  expect(await way({ off: 2 * CHECK_BLOCK_BYTES, len: 2 * CHECK_BLOCK_BYTES })).toEqual({ later: 1, now: 0 });
});

test('the end of a page, which is no whole block, is read at once too', async () => {
  await l2.put(PAGE);
  const end = { off: PAGE.page.len - 3, len: 3 };
  await way(end);
  expect(await way(end)).toEqual({ later: 0, now: 1 });
});

test('up to a megabyte is, however many records hold it', async () => {
  await l2.put(PAGE, { first: 0, count: 3 });
  await l2.put(PAGE);
  expect(await readdir(join(directory, 'segments'))).toHaveLength(1);
  const megabyte = { off: GRANULE_BYTES - 1, len: MIB };
  await way(megabyte);
  expect(await way(megabyte)).toEqual({ later: 0, now: 9 });
  const more = { off: GRANULE_BYTES - 1, len: MIB + 1 };
  expect(await way(more)).toEqual({ later: 2, now: 0 });
});

test('damage is found, counted once, and not served', async () => {
  await l2.put(PAGE);
  const range = { off: 5 * CHECK_BLOCK_BYTES, len: 10 };
  await way({ off: 0, len: MIB });
  const [name] = await readdir(join(directory, 'segments'));
  const { size } = await stat(join(directory, 'segments', name!));
  await flip(size - PAGE.page.len + range.off + 7);
  expect(await way({ off: 0, len: 10 })).toEqual({ later: 0, now: 1 });
  expect(await way(range)).toBeUndefined();
  expect(l2.metrics.get('seekfs_crc_failures_total')).toBe(1);
  expect(await way({ off: 0, len: 10 }), 'the record is gone from the index').toBeUndefined();
});

test('damage is found also in what was read again and again', async () => {
  await l2.put(PAGE);
  const range = { off: 0, len: MIB };
  await way(range);
  for (let again = 0; again < 3; again += 1) expect(await way(range)).toEqual({ later: 0, now: 8 });
  const [name] = await readdir(join(directory, 'segments'));
  const { size } = await stat(join(directory, 'segments', name!));
  const damaged = 3 * GRANULE_BYTES + 5 * CHECK_BLOCK_BYTES + 7;
  await flip(size - PAGE.page.len + damaged);
  expect(await way({ off: damaged - GRANULE_BYTES, len: GRANULE_BYTES - 7 }), 'all before it').toMatchObject({
    later: 0,
  });
  expect(await way(range)).toBeUndefined();
  expect(l2.metrics.get('seekfs_crc_failures_total')).toBe(1);
});

test('a read that fails is done again by the general way, and as slow as it was', async () => {
  await l2.put(PAGE);
  const range = { off: 0, len: 10 };
  await way(range);
  fault = () => {
    clock.advance(1);
    throw Object.assign(new Error('EIO'), { code: 'EIO' });
  };
  expect(await way(range)).toEqual({ later: 1, now: 1 });
  fault = undefined;
  expect(await way(range), 'the disk is slow').toEqual({ later: 1, now: 0 });
  clock.advance(1000);
  expect(await way(range)).toEqual({ later: 0, now: 1 });
});

test('where there is no memory the read waits for it', async () => {
  await l2.put(PAGE);
  const range = { off: 0, len: 10 };
  await way(range);
  const slabs = l2.memory.limitBytes / GRANULE_BYTES;
  const all = (await l2.memory.acquire(
    Array.from({ length: slabs }, () => 1),
    { lane: 'demand' },
  ))!;
  const waiting = way(range);
  expect(l2.memory.tryAcquireOne(1)).toBeUndefined();
  for (const slab of all) slab.release();
  expect(await waiting).toEqual({ later: 1, now: 0 });
});
