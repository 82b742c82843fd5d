import { existsSync } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { makeDirectory } from '../../../src/lib/disk/make-directory.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let directory: string;

beforeEach(async () => {
  directory = await temporaryDirectory('seekfs-mkdir');
});

test('missing parents are made, and a directory that is there is no error', async () => {
  await makeDirectory(join(directory, 'a/b/c'));
  await makeDirectory(join(directory, 'a/b/c'));
  expect((await stat(join(directory, 'a/b/c'))).isDirectory()).toBe(true);
});

test('many at once, on paths that share parents, all succeed', async () => {
  await Promise.all(Array.from({ length: 32 }, (_, index) => makeDirectory(join(directory, `x/y/${index % 4}/z`))));
  expect((await stat(join(directory, 'x/y/3/z'))).isDirectory()).toBe(true);
});

test('a file in the way is EEXIST at its own place and ENOTDIR below it', async () => {
  await writeFile(join(directory, 'file'), '');
  await expect(makeDirectory(join(directory, 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(makeDirectory(join(directory, 'file/below'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

test.skipIf(!existsSync('/proc/self'))('a file system that answers ENOENT for ever ends in that error', async () => {
  await expect(makeDirectory('/proc/seekfs-nowhere/l2')).rejects.toMatchObject({ code: 'ENOENT' });
});
