import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { openTestStore, testPage, verifiedRun } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

test('a full segment of a new cache is not sealed before its directory lasts', async () => {
  const directory = join(await temporaryDirectory('seekfs-log'), 'l2');
  let synced = (): void => undefined;
  const syncing = new Promise<void>((resolve) => (synced = resolve));
  const disk = {
    ...nodeDisk,
    // So that nothing but the directory takes its time.
    open: async (...of: Parameters<typeof nodeDisk.open>) =>
      Object.assign(await nodeDisk.open(...of), { sync: () => Promise.resolve() }),
    syncDirectory: (path: string) => (path.endsWith('segments') ? nodeDisk.syncDirectory(path) : syncing),
  };
  const sealed = async (): Promise<number> =>
    (await readdir(join(directory, 'segments'))).filter((name) => !name.endsWith('.open')).length;
  // Segments of 2 MiB, each with room for three of these.
  const l2 = await openTestStore(directory, { disk, capacityBytes: 64 * MIB });
  const written = Array.from({ length: 4 }, async (_, pageId) => {
    const run = await verifiedRun(l2.memory, testPage({ pageId, len: 512 * KIB }));
    await new Promise<void>((resolve) => l2.store.insert(run, { onWritten: resolve }));
    run.release();
  });
  await Promise.all(written);
  // As often as it would take to seal it.
  for (let look = 0; look < 100; look += 1) expect(await sealed()).toBe(0);
  synced();
  await l2.store.drain();
  expect(await sealed()).toBe(1);
  await l2.store.close();
});
