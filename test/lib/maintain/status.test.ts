// What `status` reads from the segments, against what was put into the cache.
import { appendFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { GIB, MIB } from '../../../src/lib/base/units.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { readCacheUse } from '../../../src/lib/maintain/status.ts';
import { Cli } from '../../support/cli.ts';
import { openTestStore, testPage } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const read = (path: string, capacityBytes?: number) => readCacheUse({ disk: nodeDisk, path, capacityBytes });

test('a directory that is not there is an empty cache with the capacity that it would get', async () => {
  const path = join(await temporaryDirectory(), 'none');
  const use = await read(path);
  expect(use).toMatchObject({ exists: false, segments: 0, usedBytes: 0, records: 0, namespaces: [] });
  expect(use.capacityBytes).toBeGreaterThan(0);
  expect((await read(path, GIB)).capacityBytes).toBe(GIB);
});

test('bytes and files are told by namespace, from sealed and from torn segments, past foreign files', async () => {
  const cli = await Cli.create();
  const random = seededRandom(3);
  for (const [ns, sizes] of Object.entries({ big: [3 * MIB, 2 * MIB], small: [1000] })) {
    await mkdir(join(cli.work, ns));
    for (const [index, size] of sizes.entries()) await writeFile(join(cli.work, ns, String(index)), random.bytes(size));
    await cli.succeed(['put', ns, `${ns}/`]);
    await cli.succeed(['warm', ns]);
  }
  const expected = [
    { ns: 'big', files: 2, bytes: 5 * MIB },
    { ns: 'small', files: 1, bytes: 1000 },
  ];
  const use = await read(cli.cachePath);
  expect(use).toMatchObject({ exists: true, namespaces: expected });
  expect(use.usedBytes).toBeGreaterThan(5 * MIB);
  const segments = join(cli.cachePath, 'segments');
  const names = await readdir(segments);
  expect(use.segments).toBe(names.length);
  // A tail that is torn off, a file that is none of ours, and a directory that has the name of one.
  await appendFile(join(segments, names[0]!), 'torn');
  await writeFile(join(segments, 'notes.txt'), 'mine');
  await mkdir(join(segments, `${'0'.repeat(32)}.seg`));
  expect(await read(cli.cachePath)).toMatchObject({ segments: names.length, namespaces: expected });
});

test('a segment that is being written is told apart, with what it may still grow by', async () => {
  const path = await temporaryDirectory();
  const sealed = await openTestStore(path);
  await sealed.put(testPage({ pageId: 0 }));
  await sealed.store.close();
  const open = await openTestStore(path);
  for (const pageId of [1, 2]) await open.put(testPage({ pageId }));
  const { usedBytes, reservedBytes, ...use } = await read(path);
  expect(use).toMatchObject({ segments: 2, openSegments: 1, records: 3 });
  expect(use.namespaces).toEqual([{ ns: 'dev', files: 1, bytes: 900_000 }]);
  expect(usedBytes).toBeGreaterThan(900_000);
  expect(reservedBytes).toBeGreaterThan(0);
  await open.store.close();
  expect(await read(path)).toMatchObject({ segments: 2, openSegments: 0, reservedBytes: 0, records: 3 });
});
