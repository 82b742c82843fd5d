import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { CacheDirectory } from '../../../src/lib/cache/cache-directory.ts';
import { RecordingLogger } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let root: string;
let log: RecordingLogger;

beforeEach(async () => {
  root = await temporaryDirectory();
  log = new RecordingLogger();
});

test('is made with its parents, when it is asked for', () => {
  const path = join(root, 'a/b/c');
  const directory = new CacheDirectory(path, log);
  expect(existsSync(join(root, 'a'))).toBe(false);
  expect(directory.path).toBe(path);
  expect(existsSync(path)).toBe(true);
  expect(new CacheDirectory(path, log).path).toBe(path);
  expect(log.lines).toEqual([]);
});

test('may be a link to a directory', () => {
  mkdirSync(join(root, 'there'));
  symlinkSync('there', join(root, 'link'));
  expect(new CacheDirectory(join(root, 'link'), log).path).toBe(join(root, 'link'));
});

test.each([
  ['a-file', 'there is a file of that name'],
  ['a-file/cache', 'not a directory (ENOTDIR)'],
  ['a-file/cache/below', 'not a directory (ENOTDIR)'],
  ['dangling', 'there is a file of that name'],
])('at %s is none, with one warning', (name, reason) => {
  writeFileSync(join(root, 'a-file'), '');
  symlinkSync('nowhere', join(root, 'dangling'));
  const path = join(root, name);
  const directory = new CacheDirectory(path, log);
  expect([directory.path, directory.path]).toEqual([undefined, undefined]);
  expect(log.lines).toEqual([
    `warn: cannot make the cache directory ${path}: ${reason}; nothing is kept, give another directory with --cache`,
  ]);
});

// Its file system answers that the parent, which is there, is not.
test('in /proc is none', ({ skip }) => {
  skip(!existsSync('/proc'));
  expect(new CacheDirectory('/proc/seekfs/cache', log).path).toBeUndefined();
  expect(log.lines).toHaveLength(1);
});
