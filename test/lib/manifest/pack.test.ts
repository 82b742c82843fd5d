import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, test } from 'vitest';
import { generate, type GenerateOptions, type GenerateReport } from '../../../src/lib/manifest/generate.ts';
import { fileKey } from '../../../src/lib/manifest/key-layout.ts';
import { pinVersion } from '../../../src/lib/manifest/pinned.ts';
import { put, type PutDeps, type PutReport } from '../../../src/lib/manifest/put.ts';
import type { FileEntry } from '../../../src/lib/manifest/types.ts';
import { verifyBucket, type BucketFinding } from '../../../src/lib/manifest/verify-bucket.ts';
import { countReads, listEntries, listKeys, manifestDeps, putObject } from '../../support/manifest-deps.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const run = promisify(execFile);
const KIB = 1024;
let directory: string;
let deps: PutDeps;

beforeEach(async () => {
  directory = await temporaryDirectory('seekfs-pack');
  deps = manifestDeps();
});

const nameOf = (index: number): string => `${String(index).padStart(3, '0')}.jpg`;

async function makeTree(files: number): Promise<void> {
  await mkdir(join(directory, 'tree'), { recursive: true });
  for (let index = 0; index < files; index += 1) {
    await writeFile(join(directory, 'tree', nameOf(index)), `image ${index} `.repeat(index));
  }
}

function pack(shardBytes = 64 * KIB): Promise<PutReport> {
  return put(deps, {
    ns: 'dev',
    sources: [join(directory, 'tree/')],
    pageSizeBytes: 64 * KIB,
    pack: { belowBytes: 8 * KIB, shardBytes },
  });
}

function gen(patterns: string[] = [], options: Partial<GenerateOptions> = {}): Promise<GenerateReport> {
  return generate(deps, { ns: 'dev', patterns, pageSizeBytes: 64 * KIB, ...options });
}

async function contentOf(entry: FileEntry): Promise<string> {
  if (entry.sizeBytes === 0) return '';
  const parts: Buffer[] = [];
  const { key, etag, off } = entry.storage;
  const write = (chunk: Uint8Array): void => void parts.push(Buffer.from(chunk));
  await deps.store.getRange({ key, range: { off, len: entry.sizeBytes }, ifMatch: etag, purpose: 'file' }, { write });
  return Buffer.concat(parts).toString();
}

async function deepFindings(): Promise<BucketFinding[]> {
  const found: BucketFinding[] = [];
  const version = await pinVersion(deps, 'dev', { kind: 'head' });
  await verifyBucket(deps, version, { deep: true, onFinding: (finding) => found.push(finding) });
  return found;
}

describe('packed files', () => {
  test('are ranges of shards, in the order in which they lie there; larger ones stay alone', async () => {
    await makeTree(100);
    await writeFile(join(directory, 'tree', 'large.bin'), Buffer.alloc(9 * KIB));
    const report = await pack();
    expect(report).toMatchObject({ files: 101, packedFiles: 100, publish: { version: 1, addedFiles: 101 } });
    const entries = await listEntries(deps, 'dev');
    const packed = entries.filter((entry) => entry.path !== 'large.bin');
    expect(new Set(packed.map((entry) => entry.storage.key)).size).toBe(report.shards);
    expect(report.shards).toBeGreaterThan(1);
    for (const [index, entry] of packed.entries()) {
      expect(entry.path).toBe(nameOf(index));
      expect(await contentOf(entry)).toBe(`image ${index} `.repeat(index));
      const before = packed[index - 1];
      if (before?.storage.key === entry.storage.key) expect(entry.storage.off).toBeGreaterThan(before.storage.off);
    }
    expect(entries.at(-1)).toMatchObject({ path: 'large.bin', storage: { off: 0 } });
    expect(await deepFindings()).toEqual([]);
  });

  test('lie in tars that tar reads', async () => {
    await makeTree(20);
    await pack();
    const [key] = await listKeys(deps.store, 'namespaces/dev/files/.packs/');
    const { bytes } = await deps.store.getWhole({ key: key!, sizeBytesMax: 2 ** 20, purpose: 'file' });
    await writeFile(join(directory, 'shard.tar'), bytes);
    const { stdout } = await run('tar', ['-tf', join(directory, 'shard.tar')]);
    expect(stdout.trimEnd().split('\n')).toEqual(Array.from({ length: 20 }, (_, index) => nameOf(index)));
    await mkdir(join(directory, 'out'));
    await run('tar', ['-xf', join(directory, 'shard.tar'), '-C', join(directory, 'out')]);
    expect(await readFile(join(directory, 'out', nameOf(7)), 'utf8')).toBe('image 7 '.repeat(7));
  });

  test('that are packed again as they were are neither written nor published again', async () => {
    await makeTree(30);
    const first = await pack();
    expect(await pack()).toMatchObject({
      reusedFiles: 30,
      uploadedFiles: 0,
      shards: first.shards,
      publish: { published: false, version: 1 },
    });
  });

  test('stay in the manifest while their shard is there, whatever gen is asked for', async () => {
    await makeTree(30);
    await pack();
    await putObject(deps.store, fileKey('dev', 'plain'), 'plain');
    expect(await gen()).toMatchObject({ addedFiles: 1, carriedFiles: 30 });
    expect(await gen(['0*.jpg'])).toMatchObject({ published: false });
    const [key] = await listKeys(deps.store, 'namespaces/dev/files/.packs/');
    await deps.store.delete({ keys: [key!] });
    expect(await gen()).toMatchObject({ removedFiles: 30, carriedFiles: 1 });
  });
});

describe('members of existing shards', () => {
  async function uploadShard(files: Record<string, string>): Promise<void> {
    const tree = await temporaryDirectory('seekfs-shard');
    for (const [name, content] of Object.entries(files)) {
      await mkdir(join(tree, name, '..'), { recursive: true });
      await writeFile(join(tree, name), content);
    }
    await run('tar', ['--sort=name', '-cf', join(directory, 's.tar'), '-C', tree, '.']);
    await putObject(deps.store, fileKey('dev', 'train/000.tar'), await readFile(join(directory, 's.tar')));
  }
  const contents = async (): Promise<string[]> => {
    const entries = await listEntries(deps, 'dev');
    const members = entries.filter((entry) => !entry.path.endsWith('.tar'));
    return Promise.all(members.map(async (entry) => `${entry.path}=${await contentOf(entry)}`));
  };

  beforeEach(() => uploadShard({ 'a.jpg': 'A', 'a.cls': '1', 'd/b.jpg': 'B' }));

  test('become files beside the shard by index-tar, read once', async () => {
    const reads = countReads(deps.store);
    const report = await gen([], { indexTar: true });
    expect(report).toMatchObject({ addedFiles: 4, readFiles: 1 });
    expect(reads.keys).toEqual([fileKey('dev', 'train/000.tar')]);
    expect(await contents()).toEqual(['train/000/a.cls=1', 'train/000/a.jpg=A', 'train/000/d/b.jpg=B']);
    expect(await deepFindings()).toEqual([]);
  });

  test('are carried forward without a read, with and without index-tar', async () => {
    await gen([], { indexTar: true });
    const reads = countReads(deps.store);
    for (const indexTar of [true, false]) expect(await gen([], { indexTar })).toMatchObject({ published: false });
    expect(reads.keys).toEqual([]);
  });

  test('are found later in a shard that was published without them', async () => {
    expect(await gen()).toMatchObject({ addedFiles: 1 });
    expect(await gen([], { indexTar: true })).toMatchObject({ addedFiles: 3, carriedFiles: 1 });
  });

  test.each([[[]], [['train/000.tar']]])(
    'follow their shard when it is overwritten, with patterns %j',
    async (patterns) => {
      await gen([], { indexTar: true });
      await uploadShard({ 'a.jpg': 'A2', 'new.jpg': 'N' });
      await gen(patterns, { indexTar: true });
      expect(await contents()).toEqual(['train/000/a.jpg=A2', 'train/000/new.jpg=N']);
    },
  );

  test('go when the shard is overwritten and not indexed again', async () => {
    await gen([], { indexTar: true });
    await uploadShard({ 'a.jpg': 'A2' });
    expect(await gen()).toMatchObject({ changedFiles: 1, removedFiles: 3 });
  });

  test('of what is no tar are a clear error', async () => {
    await putObject(deps.store, fileKey('dev', 'bad.tar'), Buffer.alloc(4096, 'x'));
    await expect(gen([], { indexTar: true })).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/bad\.tar/) as string,
    });
    expect(await gen()).toMatchObject({ addedFiles: 2 });
  });
});

test.each([{ belowBytes: 0 }, { belowBytes: 2 ** 30 }, { belowBytes: 1000, shardBytes: 999 }, { shardBytes: 2 ** 30 }])(
  'impossible limits are refused: %j',
  async (limits) => {
    await makeTree(1);
    const sources = [join(directory, 'tree')];
    await expect(put(deps, { ns: 'dev', sources, pageSizeBytes: 64 * KIB, pack: limits })).rejects.toMatchObject({
      code: 'usage',
    });
  },
);
