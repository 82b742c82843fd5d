// Downloads over a real directory store: right bytes, resumed where an earlier run stopped, whole files or none.
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { KIB } from '../../../src/lib/base/units.ts';
import type { Config } from '../../../src/lib/config/config.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { getFiles, type GetProgress } from '../../../src/lib/maintain/get.ts';
import { partialPath, type Download } from '../../../src/lib/maintain/local-file.ts';
import { put } from '../../../src/lib/manifest/put.ts';
import type { PinnedVersion } from '../../../src/lib/manifest/types.ts';
import { openSeekfs, type Seekfs } from '../../../src/lib/open.ts';
import { testConfig } from '../../support/config.ts';
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

/** One store for all, and a cache for each name. */
function configOf(cache: string): Promise<Config> {
  const env = { XDG_DATA_HOME: join(root, 'data'), XDG_CACHE_HOME: join(root, 'caches', cache) };
  return testConfig(undefined, { env, oneShot: true });
}

beforeAll(async () => {
  root = await temporaryDirectory();
  const config = await configOf('cache');
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(root, 'source', path)), { recursive: true });
    await writeFile(join(root, 'source', path), bytes);
  }
  seekfs = openSeekfs(config);
  const sources = [`${join(root, 'source')}/`];
  await put({ ...seekfs.publishing, disk: nodeDisk }, { ns: 'dev', sources, pageSizeBytes: PAGE_BYTES });
  version = await seekfs.pin('dev', { kind: 'head' });
  return async () => {
    await version.close();
    await seekfs.close();
  };
});

async function downloads(directory: string): Promise<Download[]> {
  const found: Download[] = [];
  for await (const entry of version.list()) found.push({ entry, file: join(root, directory, entry.path) });
  return found;
}

async function get(directory: string, onProgress?: (progress: GetProgress) => void) {
  return getFiles({ reader: await seekfs.reader(), version, downloads: await downloads(directory), onProgress });
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
  const seen: GetProgress[] = [];
  const report = await get('c', (progress) => seen.push(progress));
  expect(report).toMatchObject({ resumedBytes: 2 * PAGE_BYTES, presentFiles: 0 });
  expect(seen.at(-1), 'progress counts what was there').toEqual({ doneBytes: totalBytes, doneFiles: 3 });
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

describe('files that lie in one object', () => {
  const NUMBER = 600;
  let packed: PinnedVersion;
  const packedFiles: Record<string, Buffer> = {};

  beforeAll(async () => {
    for (let index = 0; index < NUMBER; index += 1) {
      packedFiles[`d${index % 7}/${index}`] = Buffer.from(random.bytes(index % 50 === 0 ? 0 : 1 + (index % 300)));
    }
    for (const [path, bytes] of Object.entries(packedFiles)) {
      await mkdir(dirname(join(root, 'many', path)), { recursive: true });
      await writeFile(join(root, 'many', path), bytes);
    }
    const sources = [`${join(root, 'many')}/`];
    const deps = { ...seekfs.publishing, disk: nodeDisk };
    await put(deps, { ns: 'packed', sources, pageSizeBytes: PAGE_BYTES, pack: {} });
    packed = await seekfs.pin('packed', { kind: 'head' });
    return () => packed.close();
  });

  async function getPacked(name: string, paths: readonly string[]): Promise<{ gets: number; report: object }> {
    const found: Download[] = [];
    for (const path of paths) found.push({ entry: await packed.lookup(path), file: join(root, name, path) });
    const own = openSeekfs(await configOf(name));
    const report = await getFiles({ reader: await own.reader(), version: packed, downloads: found });
    const gets = own.metrics.cell('seekfs_store_gets_total').value;
    await own.close();
    for (const path of paths) {
      expect((await readFile(join(root, name, path))).equals(packedFiles[path]!), path).toBe(true);
    }
    const names = await readdir(join(root, name), { recursive: true });
    expect(names.filter((other) => other.includes('seekfs-part'))).toEqual([]);
    return { gets, report };
  }

  test.each([
    ['in order', (paths: string[]) => paths],
    ['shuffled', (paths: string[]) => paths.sort((a, b) => Number(/\d$/.exec(a)) - Number(/\d$/.exec(b)))],
  ])('come together %s, 256 a GET', async (name, arrange) => {
    const paths = arrange(Object.keys(packedFiles));
    const { gets, report } = await getPacked(name, paths);
    expect(report).toMatchObject({ files: NUMBER, presentFiles: 0 });
    expect(gets).toBe(3);
  });

  test('and are there already, are left alone; others are replaced', async () => {
    const paths = Object.keys(packedFiles).slice(0, 20);
    await getPacked('again', paths);
    await writeFile(join(root, 'again', paths[3]!), 'wrong');
    const { report } = await getPacked('again', paths);
    expect(report).toMatchObject({ files: 20, presentFiles: 19 });
  });

  test('but cannot be written are an error that names one, and leave no unfinished file', async () => {
    await mkdir(join(root, 'blocked', 'd3/3/x'), { recursive: true });
    await expect(getPacked('blocked', Object.keys(packedFiles))).rejects.toMatchObject({
      name: 'SeekfsError',
      message: expect.stringMatching(/^cannot write .*blocked\/d3\/3: /),
    });
    const names = await readdir(join(root, 'blocked'), { recursive: true });
    expect(names.filter((other) => other.includes('seekfs-part'))).toEqual([]);
  });
});
