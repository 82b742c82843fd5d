import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { silentLogger } from '../../../src/lib/base/log.ts';
import type { MaybePromise } from '../../../src/lib/base/maybe-promise.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { layoutOf } from '../../../src/lib/cache/layout.ts';
import { FileKeys } from '../../../src/lib/cache/page-key.ts';
import { recordsOf } from '../../../src/lib/cache/pieces.ts';
import { RecordIndex } from '../../../src/lib/cache/record-index.ts';
import { RecordReader, type KnownHead, type Unread } from '../../../src/lib/cache/record-reader.ts';
import { SegmentSet } from '../../../src/lib/cache/segment-set.ts';
import type { Disk, DiskFile } from '../../../src/lib/disk/disk.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { BLOCK_BYTES } from '../../../src/lib/segment/format.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { openTestStore, testPage } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

test('a record of another file with the same hash is no answer, and is not found again', async () => {
  const directory = await temporaryDirectory();
  const { page, bytes } = testPage();
  const l2 = await openTestStore(directory);
  await l2.put({ page, bytes });
  await l2.store.close();

  const metrics = new Metrics();
  const common = { metrics, log: silentLogger, clock: systemClock };
  const index = new RecordIndex();
  const directoryPath = layoutOf(directory).segments;
  const set = new SegmentSet({ disk: nodeDisk, directoryPath, index, ...common });
  await set.refresh();
  const reader = new RecordReader({ set, ...common });
  const key = new FileKeys().of(page);
  const [record] = recordsOf(index, key, page.pageId);
  expect(await reader.head(record!, page, key)).toMatchObject({ head: { payloadBytes: page.len } });
  const collision = { ...key, path: 'b.bin', group: new FileKeys().of({ ...page, path: 'b.bin' }).group };
  expect(await reader.head(record!, page, collision)).toBe('gone');
  expect(recordsOf(index, key, page.pageId)).toEqual([]);
  expect(metrics.get('seekfs_crc_failures_total')).toBe(0);
  await set.close();
});

test('blocks that were read before are read without a thread, and verified all the same', async () => {
  const directory = await temporaryDirectory();
  const { page, bytes } = testPage();
  const l2 = await openTestStore(directory);
  await l2.put({ page, bytes });
  await l2.store.close();

  const reads = { later: 0, now: 0 };
  const counting: Disk = {
    ...nodeDisk,
    open: async (path, mode) => {
      const file = await nodeDisk.open(path, mode);
      const read: DiskFile['read'] = (...rest) => ((reads.later += 1), file.read(...rest));
      const readNow: NonNullable<DiskFile['readNow']> = (buffers: readonly Uint8Array[], position: number) => {
        reads.now += 1;
        return file.readNow!(buffers, position);
      };
      return { ...boundTo(file), read, readNow };
    },
  };
  const metrics = new Metrics();
  const common = { metrics, log: silentLogger, clock: manualClock() };
  const index = new RecordIndex();
  const directoryPath = layoutOf(directory).segments;
  const set = new SegmentSet({ disk: counting, directoryPath, index, ...common });
  await set.refresh();
  const reader = new RecordReader({ set, ...common });
  const [record] = recordsOf(index, new FileKeys().of(page), page.pageId);
  const known = (await reader.head(record!, page, new FileKeys().of(page))) as KnownHead;
  const buffer = Buffer.alloc(2 * BLOCK_BYTES);
  const blocks = (first: number): MaybePromise<true | Unread> => reader.blocks(record!, known, first, [buffer]);

  Object.assign(reads, { later: 0, now: 0 });
  expect([await blocks(1), reads]).toEqual([true, { later: 1, now: 0 }]);
  expect(buffer.equals(bytes.subarray(BLOCK_BYTES, 3 * BLOCK_BYTES))).toBe(true);
  buffer.fill(0);
  expect([blocks(1), reads], 'no promise').toEqual([true, { later: 1, now: 1 }]);
  expect(buffer.equals(bytes.subarray(BLOCK_BYTES, 3 * BLOCK_BYTES))).toBe(true);
  expect([await blocks(2), reads], 'one of the two is new').toEqual([true, { later: 2, now: 1 }]);

  const [name] = await readdir(directoryPath);
  const file = await open(join(directoryPath, name!), 'r+');
  await file.write(Buffer.from([bytes[BLOCK_BYTES]! ^ 1]), 0, 1, record!.offset + record!.headBytes + BLOCK_BYTES);
  await file.close();
  expect([await blocks(1), reads]).toEqual(['gone', { later: 2, now: 2 }]);
  expect(metrics.get('seekfs_crc_failures_total')).toBe(1);
  await set.close();
});

function boundTo(file: DiskFile): DiskFile {
  return {
    read: file.read.bind(file),
    write: file.write.bind(file),
    sync: file.sync.bind(file),
    truncate: file.truncate.bind(file),
    stat: file.stat.bind(file),
    close: file.close.bind(file),
  };
}
