import { expect, test } from 'vitest';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { silentLogger } from '../../../src/lib/base/log.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { layoutOf } from '../../../src/lib/cache/layout.ts';
import { FileKeys } from '../../../src/lib/cache/page-key.ts';
import { recordsOf } from '../../../src/lib/cache/pieces.ts';
import { RecordIndex } from '../../../src/lib/cache/record-index.ts';
import { RecordReader } from '../../../src/lib/cache/record-reader.ts';
import { SegmentSet } from '../../../src/lib/cache/segment-set.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
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
