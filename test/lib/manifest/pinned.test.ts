import { createHash } from 'node:crypto';
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { generate } from '../../../src/lib/manifest/generate.ts';
import { fileKey, headKey, manifestKey } from '../../../src/lib/manifest/key-layout.ts';
import { IndexWriter } from '../../../src/lib/manifest/index-format.ts';
import { pinVersion } from '../../../src/lib/manifest/pinned.ts';
import { publish } from '../../../src/lib/manifest/publisher.ts';
import type { PutDeps } from '../../../src/lib/manifest/put.ts';
import type { FileEntry, VersionSelector } from '../../../src/lib/manifest/types.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import { listEntries, listKeys, manifestDeps, putObject } from '../../support/manifest-deps.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let directory: string;
let store: MemoryObjectStore;
let deps: PutDeps;
let requests: string[];

beforeEach(async () => {
  directory = await temporaryDirectory('seekfs-pin');
  store = new MemoryObjectStore();
  requests = [];
  const getWhole = store.getWhole.bind(store);
  const getRange = store.getRange.bind(store);
  store.getWhole = (request) => {
    requests.push(request.key);
    return getWhole(request);
  };
  store.getRange = (request, sink) => {
    requests.push(request.key);
    return getRange(request, sink);
  };
  deps = { ...manifestDeps(store), cachePath: directory };
});

afterEach(async () => {
  await chmod(directory, 0o700);
});

function manifest(files: unknown[], version = 1): Buffer {
  return gzipSync(JSON.stringify({ version, parents: [], tombstones: [], created_at: 0, files }));
}

function seedFile(path: string): unknown {
  return {
    path,
    size: 1,
    hash: `sha256:${'0'.repeat(64)}`,
    page_table: [{ page_id: 0, off: 0, len: 1, crc32c: 1 }],
    storage: { key: fileKey('dev', path), etag: '"e"', sse: null },
  };
}

async function putVersion(version: number, bytes: Buffer, head = `v-${version}`): Promise<string> {
  await putObject(store, manifestKey('dev', version), bytes);
  await putObject(store, headKey('dev'), head);
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

async function paths(selector: VersionSelector = { kind: 'head' }): Promise<string[]> {
  return (await listEntries(deps, 'dev', selector)).map((entry) => entry.path);
}

async function cachedFile(): Promise<string> {
  const [namespace] = await readdir(directory);
  const names = (await readdir(join(directory, namespace!))).filter((name) => name.endsWith('.idx'));
  expect(names).toHaveLength(1);
  return join(directory, namespace!, names[0]!);
}

describe('a pinned version', () => {
  test('of a seed’s bucket opens, whatever the order of its files', async () => {
    await putVersion(1, manifest(['z', 'a', 'm/x', '🙂', '\uffff'].map(seedFile)));
    expect(await paths()).toEqual(['a', 'm/x', 'z', '\uffff', '🙂']);
  });

  test('that is cached costs no request, and HEAD is read each time', async () => {
    await putVersion(1, manifest([seedFile('a')]));
    await paths();
    expect(requests).toEqual([headKey('dev'), manifestKey('dev', 1)]);
    requests.length = 0;
    await paths({ kind: 'version', version: 1 });
    expect(requests).toEqual([]);
    await paths();
    expect(requests).toEqual([headKey('dev')]);
  });

  test('that this process has just published is cached already', async () => {
    await putObject(store, fileKey('dev', 'a'), 'a');
    await generate(deps, { ns: 'dev', patterns: [], pageSizeBytes: 65536 });
    requests.length = 0;
    expect(await paths({ kind: 'version', version: 1 })).toEqual(['a']);
    expect(requests).toEqual([]);
  });

  test('opens by the digest that it has, and by no other', async () => {
    const digest = await putVersion(1, manifest([seedFile('a')]));
    const other = `sha256:${'0'.repeat(64)}`;
    for (const cachePath of [undefined, directory, directory]) {
      deps = { ...deps, cachePath };
      expect(await paths({ kind: 'version', version: 1, digest })).toEqual(['a']);
      await expect(paths({ kind: 'version', version: 1, digest: other })).rejects.toMatchObject({
        code: 'manifest_invalid',
      });
    }
  });

  test('does not open when HEAD has another digest', async () => {
    await putVersion(1, manifest([seedFile('a')]), `v-1\nsha256:${'0'.repeat(64)}\n`);
    await expect(paths()).rejects.toMatchObject({ code: 'manifest_invalid' });
  });

  test('of a bucket that was made anew under the same name is not the cached one, once HEAD says so', async () => {
    await putVersion(1, manifest([seedFile('a')]));
    await paths();
    const bytes = manifest([seedFile('b')]);
    const digest = await putVersion(1, bytes);
    await putObject(store, headKey('dev'), `v-1\n${digest}\n`);
    expect(await paths()).toEqual(['b']);
    expect(await paths({ kind: 'version', version: 1 })).toEqual(['b']);
  });
});

test.each<[string, () => Promise<unknown>, string]>([
  ['a namespace without HEAD', () => Promise.resolve(), 'namespace_not_found'],
  ['a HEAD that points to nothing', () => putObject(store, headKey('dev'), 'v-7'), 'manifest_invalid'],
  ['a HEAD that is no version', () => putObject(store, headKey('dev'), 'latest'), 'manifest_invalid'],
  ['a path that is there twice', () => putVersion(1, manifest(['a', 'b', 'a'].map(seedFile))), 'manifest_invalid'],
  ['a manifest of another version', () => putVersion(1, manifest([seedFile('a')], 2)), 'manifest_invalid'],
  ['a manifest that is no gzip', () => putVersion(1, Buffer.from('{}')), 'manifest_invalid'],
  ['more bytes than a number holds', () => putVersion(1, manifest([huge('a'), huge('b')])), 'manifest_invalid'],
])('%s is %#', async (_name, prepare, code) => {
  await prepare();
  await expect(paths()).rejects.toMatchObject({ code });
  expect((await readdir(directory, { recursive: true })).filter((name) => /idx|tmp/.test(name))).toEqual([]);
});

function huge(path: string): unknown {
  const size = Number.MAX_SAFE_INTEGER - 1;
  return { ...(seedFile(path) as object), size, page_table: [{ page_id: 0, off: 0, len: size, crc32c: 0 }] };
}

test('a version that is not there is version_not_found', async () => {
  await putVersion(1, manifest([]));
  await expect(pinVersion(deps, 'dev', { kind: 'version', version: 2 })).rejects.toMatchObject({
    code: 'version_not_found',
  });
});

describe('the local cache', () => {
  const logged: string[] = [];

  beforeEach(async () => {
    logged.length = 0;
    deps = { ...deps, log: { log: (level, message) => logged.push(`${level} ${message}`) } };
    await putVersion(1, manifest(['a', 'b', 'c'].map(seedFile)));
  });

  test('that cannot be written is one warning, and the version opens', async () => {
    // Also root cannot make a directory where a file is.
    deps = { ...deps, cachePath: join(directory, 'file') };
    await writeFile(join(directory, 'file'), '');
    expect(await paths()).toEqual(['a', 'b', 'c']);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatch(/^warn .*not kept/);
  });

  test('that is cut or overwritten is read anew from the store', async () => {
    await paths();
    const file = await cachedFile();
    const good = await readFile(file);
    for (const bad of [Buffer.alloc(0), good.subarray(0, 40), good.subarray(0, -1), Buffer.alloc(good.length)]) {
      await writeFile(file, bad);
      requests.length = 0;
      expect(await paths({ kind: 'version', version: 1 })).toEqual(['a', 'b', 'c']);
      expect(requests).toEqual([manifestKey('dev', 1)]);
      expect(await readFile(await cachedFile())).toEqual(good);
    }
  });

  test('whose block rots under an open version is read anew, and a listing goes on where it was', async () => {
    await paths();
    const file = await cachedFile();
    const open = await pinVersion(deps, 'dev', { kind: 'version', version: 1 });
    const bytes = await readFile(file);
    bytes[20]! ^= 1;
    await writeFile(file, bytes);
    const listed: string[] = [];
    for await (const entry of open.list()) listed.push(entry.path);
    expect(listed).toEqual(['a', 'b', 'c']);
    expect((await open.lookup('b')).path).toBe('b');
    expect(logged.filter((line) => line.includes('damaged'))).toHaveLength(1);
    await open.close();
  });
});

describe('an index that was published beside the manifest', () => {
  const many = Array.from({ length: 10_000 }, (_, index): FileEntry => {
    const path = `f/${String(index).padStart(5, '0')}`;
    return {
      path,
      sizeBytes: 1,
      hash: `sha256:${'0'.repeat(64)}`,
      storage: { key: fileKey('dev', path), etag: '"e"', sse: undefined, off: 0 },
      pages: [{ pageId: 0, off: 0, len: 1, crc32c: index }],
      granuleCrcs: undefined,
      modifiedAtMs: undefined,
      extra: undefined,
    };
  });

  /** Of the same size, version and header, and sound in itself: only its digest tells. */
  async function forgedIndex(): Promise<Buffer> {
    const pinned = await pinVersion({ ...deps, cachePath: undefined }, 'dev', { kind: 'head' });
    const writer = new IndexWriter('dev');
    for (const [number, entry] of many.entries()) {
      writer.add(number === 0 ? { ...entry, hash: `sha256:${'f'.repeat(64)}` } : entry);
    }
    writer.finish(pinned.header);
    await pinned.close();
    return Buffer.concat(writer.takeBytes());
  }

  async function publishMany(): Promise<string> {
    await publish({ ...deps, cachePath: undefined }, { ns: 'dev', plan: () => ({ upserts: many, removals: [] }) });
    const keys = await listKeys(store, 'namespaces/dev/manifests/');
    requests.length = 0;
    const index = keys.find((key) => key.endsWith('.idx'));
    expect(keys).toEqual([index, manifestKey('dev', 1)]);
    return index!;
  }

  test('is fetched instead of built', async () => {
    const index = await publishMany();
    const entries = await listEntries(deps, 'dev');
    expect(requests).toEqual([headKey('dev'), manifestKey('dev', 1), index]);
    expect(entries).toEqual(many);
    const object = await store.getWhole({ key: index, sizeBytesMax: 2 ** 30, purpose: 'meta' });
    expect(await readFile(await cachedFile())).toEqual(object.bytes);
  });

  test.each<[string, (index: string) => Promise<unknown>]>([
    ['is gone', (index) => store.delete({ keys: [index] })],
    ['is another', (index) => putObject(store, index, Buffer.alloc(5_000_000))],
    ['is cut', (index) => putObject(store, index, 'x')],
    ['is a whole one with another hash', async (index) => putObject(store, index, await forgedIndex())],
  ])('and %s is built from the manifest', async (_name, damage) => {
    const index = await publishMany();
    await damage(index);
    expect(await listEntries(deps, 'dev')).toEqual(many);
    await cachedFile();
  });
});
