// Downloads over a real directory store: right bytes, resumed where an earlier run stopped, whole files or none.
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { KIB } from '../../../src/lib/base/units.ts';
import { loadConfig } from '../../../src/lib/config/load.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { getFiles, partialPath, type Download } from '../../../src/lib/maintain/get.ts';
import { put } from '../../../src/lib/manifest/put.ts';
import type { PinnedVersion } from '../../../src/lib/manifest/types.ts';
import { openSeekfs, type Seekfs } from '../../../src/lib/open.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const PAGE_BYTES = 64 * KIB;
const random = seededRandom(7);
const files: Readonly<Record<string, Buffer>> = {
  empty: Buffer.alloc(0),
  small: Buffer.from(random.bytes(10)),
  'tree/pages': Buffer.from(random.bytes(5 * PAGE_BYTES + 1)),
};

let root: string;
let seekfs: Seekfs;
let version: PinnedVersion;

beforeAll(async () => {
  root = await temporaryDirectory();
  const config = await loadConfig({
    flags: new Map(),
    env: { XDG_DATA_HOME: join(root, 'data'), XDG_CACHE_HOME: join(root, 'cache') },
    workingDirectory: root,
    homeDirectory: root,
    readFile: () => undefined,
    usableMemoryBytes: 2 ** 33,
    diskTotalBytes: () => undefined,
    oneShot: true,
  });
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(root, 'source', path)), { recursive: true });
    await writeFile(join(root, 'source', path), bytes);
  }
  seekfs = openSeekfs(config);
  const sources = [`${join(root, 'source')}/`];
  await put({ ...seekfs.publishing, disk: nodeDisk }, { ns: 'dev', sources, pageSizeBytes: PAGE_BYTES });
  version = await seekfs.pin('dev', { kind: 'head' });
  return () => seekfs.close();
});

async function downloads(directory: string): Promise<Download[]> {
  const found: Download[] = [];
  for await (const entry of version.list()) found.push({ entry, file: join(root, directory, entry.path) });
  return found;
}

async function get(directory: string, signal?: AbortSignal) {
  return getFiles({ reader: await seekfs.reader(), version, downloads: await downloads(directory), signal });
}

async function expectWhole(directory: string): Promise<void> {
  for (const [path, bytes] of Object.entries(files)) {
    expect((await readFile(join(root, directory, path))).equals(bytes), path).toBe(true);
  }
  const names = await readdir(join(root, directory), { recursive: true });
  expect(names.filter((name) => name.includes('seekfs-part'))).toEqual([]);
}

const totalBytes = Object.values(files).reduce((sum, bytes) => sum + bytes.length, 0);

test('the files arrive whole, with their modification times', async () => {
  expect(await get('a')).toEqual({ files: 3, bytes: totalBytes, presentFiles: 0, presentBytes: 0, resumedBytes: 0 });
  await expectWhole('a');
  const [source, copy] = await Promise.all([stat(join(root, 'source/small')), stat(join(root, 'a/small'))]);
  expect(Math.floor(copy.mtimeMs)).toBe(Math.floor(source.mtimeMs));
});

test('files that are there with the right bytes are left alone, others are replaced', async () => {
  await get('b');
  const { ino } = await stat(join(root, 'b/small'));
  const wrong = Buffer.from(files['tree/pages']!);
  wrong[PAGE_BYTES * 4]! ^= 1;
  await writeFile(join(root, 'b/tree/pages'), wrong);
  expect(await get('b')).toMatchObject({ presentFiles: 2, presentBytes: 10 });
  await expectWhole('b');
  expect((await stat(join(root, 'b/small'))).ino).toBe(ino);
});

test('what an interrupted run left is kept up to its first wrong page', async () => {
  const { entry, file } = (await downloads('c')).find((download) => download.entry.path === 'tree/pages')!;
  const left = Buffer.from(files['tree/pages']!.subarray(0, 3 * PAGE_BYTES + 5));
  left[2 * PAGE_BYTES]! ^= 1;
  await mkdir(dirname(file), { recursive: true });
  await writeFile(partialPath(entry, file), left);
  expect(await get('c')).toMatchObject({ resumedBytes: 2 * PAGE_BYTES, presentFiles: 0 });
  await expectWhole('c');
});

test('a failure in the middle leaves the old file as it was, and the next run goes on', async () => {
  await mkdir(join(root, 'd/tree'), { recursive: true });
  await writeFile(join(root, 'd/tree/pages'), 'old');
  const interruption = new AbortController();
  let seenBytes = 0;
  const running = getFiles({
    reader: await seekfs.reader(),
    version,
    downloads: await downloads('d'),
    signal: interruption.signal,
    onProgress: ({ doneBytes }) => {
      seenBytes = doneBytes;
      if (doneBytes > 2 * PAGE_BYTES) interruption.abort();
    },
  });
  await expect(running).rejects.toMatchObject({ code: 'interrupted' });
  expect(seenBytes).toBeGreaterThan(2 * PAGE_BYTES);
  expect(await readFile(join(root, 'd/tree/pages'), 'utf8')).toBe('old');
  await get('d');
  await expectWhole('d');
});

test('a place that cannot be written is an error that names it, and the other files stop', async () => {
  await mkdir(join(root, 'e'), { recursive: true });
  await writeFile(join(root, 'e/tree'), 'a file where a directory must be');
  await expect(get('e')).rejects.toMatchObject({ message: expect.stringContaining('e/tree/pages') });
  await rm(join(root, 'e/tree'));
  await get('e');
  await expectWhole('e');
});
