import { beforeEach, expect, test } from 'vitest';
import { openTestStore, testPage } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let directory: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
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
