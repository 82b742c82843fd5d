import { beforeEach, expect, test } from 'vitest';
import { MIB } from '../../../src/lib/base/units.ts';
import { openTestStore, testPage } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let directory: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
});

test('status tells use, bounds and what is resident of each file', async () => {
  const l2 = await openTestStore(directory, { capacityBytes: 64 * MIB });
  expect(await l2.store.status()).toMatchObject({ boundBytes: 0, segments: 0, records: 0, files: [] });
  await l2.put(testPage({ path: 'b', pageId: 1, len: 1000 }));
  await l2.put(testPage({ path: 'b', pageId: 0, len: 500 }));
  await l2.put(testPage({ path: 'a', pageId: 0, len: 7 }));
  const status = await l2.store.status();
  expect(status).toMatchObject({ capacityBytes: 64 * MIB, segments: 1, records: 3, boundBytes: 2 * MIB });
  expect(status.files).toEqual([
    { ns: 'dev', path: 'a', identity: 'sha256:a', bytes: 7, records: 1 },
    { ns: 'dev', path: 'b', identity: 'sha256:b', bytes: 1500, records: 2 },
  ]);
  await l2.store.close();
});

test('a plan of cleaning counts what is dead and changes nothing', async () => {
  const l2 = await openTestStore(directory);
  await l2.put(testPage({ path: 'dead', len: 1000 }));
  await l2.put(testPage({ path: 'live', len: 1000 }));
  const plan = await l2.store.planCleaning((file) => file.path === 'dead');
  expect(plan).toMatchObject({ deadRecords: 1, overBytes: 0 });
  expect(plan.deadBytes).toBeGreaterThan(1000);
  expect(await l2.get(testPage({ path: 'dead', len: 1000 }))).toBeDefined();
  await l2.store.close();
});
