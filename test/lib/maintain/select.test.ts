// What PATH arguments mean.
import { expect, test } from 'vitest';
import { selectFiles } from '../../../src/lib/maintain/select.ts';
import { pinnedVersion } from '../../support/memory-data.ts';

const paths = ['a', 'images/1.jpg', 'images/2.png', 'images/deep/3.jpg', 'images2/4.jpg', 'odd[1].bin'];
const version = pinnedVersion('dev', 1, Object.fromEntries(paths.map((path) => [path, Buffer.alloc(1)])));

async function select(...names: string[]): Promise<Record<string, string>> {
  const found: [string, string][] = [];
  for await (const { entry, relativePath } of selectFiles(version, names)) found.push([entry.path, relativePath]);
  expect(new Set(found.map(([path]) => path)).size).toBe(found.length);
  return Object.fromEntries(found);
}

test('nothing named is everything', async () => {
  expect(Object.keys(await select())).toEqual(paths);
});

test('a path is that file, under its last name', async () => {
  expect(await select('images/deep/3.jpg')).toEqual({ 'images/deep/3.jpg': '3.jpg' });
});

test('a directory keeps its name, unless a slash ends it', async () => {
  const below = ['1.jpg', '2.png', 'deep/3.jpg'];
  expect(await select('images')).toEqual(Object.fromEntries(below.map((name) => [`images/${name}`, `images/${name}`])));
  expect(await select('images/')).toEqual(Object.fromEntries(below.map((name) => [`images/${name}`, name])));
  expect(await select('images/deep')).toEqual({ 'images/deep/3.jpg': 'deep/3.jpg' });
});

test('a glob matches within a directory, ** below it', async () => {
  expect(await select('images/*.jpg')).toEqual({ 'images/1.jpg': '1.jpg' });
  expect(Object.keys(await select('images*/**/*.jpg'))).toEqual(['images/1.jpg', 'images/deep/3.jpg', 'images2/4.jpg']);
});

test('a file whose name looks like a glob is found by its name', async () => {
  expect(await select('odd[1].bin')).toEqual({ 'odd[1].bin': 'odd[1].bin' });
});

test('what is named twice comes once', async () => {
  expect(Object.keys(await select('images/1.jpg', 'images'))).toHaveLength(3);
});

test.each(['b', 'images/9.jpg', 'image', 'b/', '*.gif', 'a/'])('%s names nothing, which is an error', async (name) => {
  await expect(select('a', name)).rejects.toMatchObject({ code: 'path_not_found', details: { path: name } });
});
