import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { listIfThere, statIfThere } from '../../../src/lib/disk/if-there.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let directory: string;

beforeAll(async () => {
  directory = await temporaryDirectory('seekfs-if-there');
  await writeFile(join(directory, 'file'), 'bytes');
});
test('what is there is listed, and what is not is undefined', async () => {
  expect(await listIfThere(nodeDisk, directory)).toEqual(['file']);
  expect(await listIfThere(nodeDisk, join(directory, 'missing'))).toBeUndefined();
});

test('a file in the place of a directory is an error to who lists it', async () => {
  await expect(listIfThere(nodeDisk, join(directory, 'file'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

test.each(['missing', 'file/below', 'n'.repeat(300)])('nothing is at %s', async (name) => {
  expect((await statIfThere(nodeDisk, join(directory, 'file')))?.sizeBytes).toBe(5);
  expect(await statIfThere(nodeDisk, join(directory, name))).toBeUndefined();
});

test('a path that the system refuses for another reason is an error', async () => {
  await expect(statIfThere(nodeDisk, 'a\0b')).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
});
