import { createHash } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { generate, type GenerateOptions, type GenerateReport } from '../../../src/lib/manifest/generate.ts';
import { fileKey } from '../../../src/lib/manifest/key-layout.ts';
import { put, type PutDeps } from '../../../src/lib/manifest/put.ts';
import { removeFiles } from '../../../src/lib/manifest/remove.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import { countReads, listEntries, listKeys, manifestDeps, putObject } from '../../support/manifest-deps.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const KIB = 1024;
let directory: string;
let store: MemoryObjectStore;
let deps: PutDeps;

beforeEach(async () => {
  directory = await temporaryDirectory('seekfs-gen');
  store = new MemoryObjectStore();
  deps = manifestDeps(store);
});

function gen(patterns: string[] = [], options: Partial<GenerateOptions> = {}): Promise<GenerateReport> {
  return generate(deps, { ns: 'dev', patterns, pageSizeBytes: 64 * KIB, ...options });
}

function upload(path: string, content: string | Uint8Array = path): Promise<string> {
  return putObject(store, fileKey('dev', path), content);
}

async function paths(): Promise<string[]> {
  return (await listEntries(deps, 'dev')).map((entry) => entry.path);
}

async function putFile(name: string, content: string, prefix?: string): Promise<void> {
  await writeFile(join(directory, name), content);
  await put(deps, { ns: 'dev', sources: [join(directory, name)], prefix, pageSizeBytes: 64 * KIB });
}

test('an object that any tool put becomes a file with its hash, its pages and its ETag', async () => {
  const content = Buffer.alloc(150 * KIB, 'xyz');
  const etag = await upload('warm.bin', content);
  const report = await gen(['warm.bin']);
  expect(report).toMatchObject({ published: true, version: 1, addedFiles: 1, readBytes: content.length });
  const [entry] = await listEntries(deps, 'dev');
  expect(entry).toMatchObject({
    path: 'warm.bin',
    sizeBytes: content.length,
    hash: `sha256:${createHash('sha256').update(content).digest('hex')}`,
    storage: { key: 'namespaces/dev/files/warm.bin', etag },
  });
  expect(entry!.pages.map((page) => page.len)).toEqual([65536, 65536, 22528]);
});

test('nothing changed: no version, and no byte of any object is read', async () => {
  for (const path of ['a', 'b/c', 'empty']) await upload(path, path === 'empty' ? '' : path);
  await gen();
  const reads = countReads(store);
  expect(await gen()).toMatchObject({ published: false, version: 1, carriedFiles: 3, readBytes: 0 });
  expect(reads).toEqual({ keys: [], bytes: 0 });
});

test('only what changed is read, and what is gone becomes a tombstone', async () => {
  for (const path of ['a', 'b', 'c']) await upload(path);
  await gen();
  await upload('b', 'something else');
  await upload('d');
  await store.delete({ keys: [fileKey('dev', 'c')] });
  const reads = countReads(store);
  const report = await gen();
  expect(report).toMatchObject({ version: 2, addedFiles: 1, changedFiles: 1, removedFiles: 1, carriedFiles: 1 });
  expect(reads.keys.sort()).toEqual([fileKey('dev', 'b'), fileKey('dev', 'd')]);
  expect(await paths()).toEqual(['a', 'b', 'd']);
});

test('a dry run says what would happen, reads nothing and publishes nothing', async () => {
  // The version that it compares with comes from a file, which is closed at the end and no sooner.
  deps = { ...deps, cachePath: join(directory, 'cache') };
  for (const path of ['a', 'bb', 'ccc']) await upload(path);
  await gen();
  await upload('bb', 'other');
  await upload('d');
  await store.delete({ keys: [fileKey('dev', 'ccc')] });
  const before = await listKeys(store, '');
  const reads = countReads(store);
  const report = await gen([], { dryRun: true });
  expect(report).toMatchObject({
    dryRun: true,
    published: false,
    addedFiles: 1,
    changedFiles: 1,
    removedFiles: 1,
    carriedFiles: 1,
    fileCount: 3,
    totalBytes: 7,
  });
  expect(report.changes).toEqual([
    { kind: 'changed', path: 'bb', sizeBytes: 5 },
    { kind: 'added', path: 'd', sizeBytes: 1 },
    { kind: 'removed', path: 'ccc', sizeBytes: 3 },
  ]);
  expect(reads.keys).toEqual([]);
  expect(await listKeys(store, '')).toEqual(before);
});

describe('patterns', () => {
  beforeEach(async () => {
    for (const path of ['a.jpg', 'a.png', 'd/b.jpg', 'd/e/c.jpg', 'dd/x.jpg']) await upload(path);
  });

  test.each<[string[], string[]]>([
    [['a.jpg'], ['a.jpg']],
    [['d/'], ['d/b.jpg', 'd/e/c.jpg']],
    [['*.jpg'], ['a.jpg']],
    [['**/*.jpg'], ['a.jpg', 'd/b.jpg', 'd/e/c.jpg', 'dd/x.jpg']],
    [
      ['d/*', 'a.png'],
      ['a.png', 'd/b.jpg'],
    ],
    [[], ['a.jpg', 'a.png', 'd/b.jpg', 'd/e/c.jpg', 'dd/x.jpg']],
  ])('%j publishes %j', async (patterns, expected) => {
    await gen(patterns);
    expect(await paths()).toEqual(expected);
  });

  test('leave files that they do not match alone, also when their objects are gone', async () => {
    await gen();
    await store.delete({ keys: [fileKey('dev', 'a.jpg'), fileKey('dev', 'd/b.jpg')] });
    expect(await gen(['d/'])).toMatchObject({ removedFiles: 1, carriedFiles: 4 });
    expect(await paths()).toEqual(['a.jpg', 'a.png', 'd/e/c.jpg', 'dd/x.jpg']);
  });

  test('with replace are all that is left', async () => {
    await gen();
    await upload('d/new');
    const dry = await gen(['d/'], { replace: true, dryRun: true });
    const report = await gen(['d/'], { replace: true });
    expect(await paths()).toEqual(['d/b.jpg', 'd/e/c.jpg', 'd/new']);
    const counts = { addedFiles: 1, changedFiles: 0, removedFiles: 3, carriedFiles: 2 };
    expect(report).toMatchObject(counts);
    expect(dry).toMatchObject(counts);
  });

  test.each(['nothing', 'nothing/', '*.gif'])(
    '%s, which matches nothing, is an error and changes nothing',
    async (pattern) => {
      await gen(['a.jpg']);
      await expect(gen(['a.png', pattern])).rejects.toMatchObject({ code: 'object_not_found' });
      expect(await paths()).toEqual(['a.jpg']);
    },
  );
});

test('an empty namespace is an error', async () => {
  await expect(gen()).rejects.toMatchObject({ code: 'object_not_found' });
});

test('markers of directories are passed over, and names that no file can have are reported', async () => {
  await upload('a');
  await putObject(store, 'namespaces/dev/files/dir/', '');
  await putObject(store, 'namespaces/dev/files/x//y', 'content');
  const report = await gen();
  expect(await paths()).toEqual(['a']);
  expect(report.skipped.map((skip) => skip.key)).toEqual(['namespaces/dev/files/x//y']);
});

test('an object whose key is as long as a key can be is published', async () => {
  const path = 'x'.repeat(1024 - fileKey('dev', '').length);
  await upload(path);
  await gen();
  expect(await paths()).toEqual([path]);
});

describe('files that put published', () => {
  test('stay while their object is listed, and their objects are no files of their own', async () => {
    await putFile('a', 'from put');
    await upload('b');
    const reads = countReads(store);
    expect(await gen()).toMatchObject({ addedFiles: 1, carriedFiles: 1 });
    expect(await paths()).toEqual(['a', 'b']);
    expect(reads.keys).toEqual([fileKey('dev', 'b')]);
  });

  test('become tombstones when their object is gone', async () => {
    await putFile('a', 'from put');
    await putFile('b', 'from put');
    const [entry] = await listEntries(deps, 'dev');
    await store.delete({ keys: [entry!.storage.key] });
    expect(await gen()).toMatchObject({ removedFiles: 1, carriedFiles: 1 });
    expect(await paths()).toEqual(['b']);
  });

  test('win over a plain object of their path, which is reported, unless that is named', async () => {
    await putFile('a', 'from put');
    await upload('a', 'from another tool');
    expect(await gen()).toMatchObject({ published: false, shadowed: ['a'] });
    expect(await gen(['a'])).toMatchObject({ published: true, changedFiles: 1 });
    const [entry] = await listEntries(deps, 'dev');
    expect(entry!.storage.key).toBe(fileKey('dev', 'a'));
  });

  test('are bound to the ETags of a store that was moved by rebind, once their bytes are found to be the same', async () => {
    await putFile('a', 'from put');
    const [entry] = await listEntries(deps, 'dev');
    const etag = await putObject(store, entry!.storage.key, 'from put');
    expect(etag).not.toBe(entry!.storage.etag);
    expect(await gen()).toMatchObject({ published: false });
    expect(await gen([], { rebind: true })).toMatchObject({
      published: true,
      changedFiles: 0,
      restatedFiles: 1,
      readFiles: 1,
    });
    expect((await listEntries(deps, 'dev'))[0]!.storage.etag).toBe(etag);
    await putObject(store, entry!.storage.key, 'from hell');
    await expect(gen([], { rebind: true })).rejects.toMatchObject({ code: 'object_changed' });
  });
});

test('an object that is overwritten while it is read is object_changed, and nothing is published', async () => {
  await upload('a', 'first');
  const inner = store.getRange.bind(store);
  store.getRange = async (request, sink) => {
    await upload('a', 'second');
    return inner(request, sink);
  };
  await expect(gen()).rejects.toMatchObject({ code: 'object_changed' });
  expect(await listKeys(store, 'namespaces/dev/manifests/')).toEqual([]);
});

test('what another publisher added meanwhile stays, and so does what it changed', async () => {
  for (const path of ['a', 'gone']) await upload(path);
  await gen();
  await upload('b');
  await store.delete({ keys: [fileKey('dev', 'gone')] });
  let isRaced = false;
  const inner = store.getRange.bind(store);
  store.getRange = async (request, sink) => {
    if (!isRaced) {
      isRaced = true;
      await putFile('other', 'by another');
      await putFile('gone', 'back again');
      await removeFiles(deps, { ns: 'dev', paths: ['a'] });
    }
    return inner(request, sink);
  };
  expect(await gen()).toMatchObject({ published: true, version: 5, addedFiles: 1, removedFiles: 0 });
  expect(isRaced).toBe(true);
  expect(await paths()).toEqual(['b', 'gone', 'other']);
});

describe('an interrupted run', () => {
  test('resumes without reading a finished file again', async () => {
    for (let index = 0; index < 20; index += 1) await upload(`f${String(index).padStart(2, '0')}`);
    const abort = new AbortController();
    const interrupted = gen([], {
      journalPath: directory,
      signal: abort.signal,
      onProgress: (progress) => {
        if (progress.phase === 'read' && progress.filesDone === 12) abort.abort();
      },
    });
    await expect(interrupted).rejects.toMatchObject({ code: 'interrupted' });
    const journals = await readdir(directory);
    expect(journals).toHaveLength(1);
    await writeFile(join(directory, journals[0]!), 'torn line without an end', { flag: 'a' });
    const reads = countReads(store);
    const report = await gen([], { journalPath: directory, resume: true });
    expect(report).toMatchObject({ published: true, addedFiles: 20 });
    expect(report.resumedFiles).toBeGreaterThanOrEqual(12);
    expect(reads.keys).toHaveLength(20 - report.resumedFiles);
    expect(await readdir(directory)).toEqual([]);
  });

  test('reads a file again that changed since', async () => {
    for (const path of ['a', 'b', 'c']) await upload(path);
    const abort = new AbortController();
    const stop = (progress: { phase: string; filesDone?: number }): void => {
      if (progress.filesDone === 3) abort.abort();
    };
    await expect(gen([], { journalPath: directory, signal: abort.signal, onProgress: stop })).rejects.toMatchObject({
      code: 'interrupted',
    });
    await upload('a', 'changed');
    const reads = countReads(store);
    expect(await gen([], { journalPath: directory, resume: true })).toMatchObject({ resumedFiles: 2, readFiles: 1 });
    expect(reads.keys).toEqual([fileKey('dev', 'a')]);
  });
});
