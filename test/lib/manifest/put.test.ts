import { createHash } from 'node:crypto';
import { mkdir, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { pinVersion } from '../../../src/lib/manifest/pinned.ts';
import { put, type PutDeps, type PutOptions, type PutReport } from '../../../src/lib/manifest/put.ts';
import { removeFiles } from '../../../src/lib/manifest/remove.ts';
import type { FileEntry } from '../../../src/lib/manifest/types.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import { manifestDeps, putObject } from '../../support/manifest-deps.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const KIB = 1024;
let directory: string;
let store: MemoryObjectStore;
let deps: PutDeps;

beforeEach(async () => {
  directory = await temporaryDirectory('seekfs-put');
  store = new MemoryObjectStore();
  deps = manifestDeps(store);
});

async function write(name: string, content: string | Buffer): Promise<void> {
  await mkdir(join(directory, name, '..'), { recursive: true });
  await writeFile(join(directory, name), content);
}

function putSources(sources: string[], options: Partial<PutOptions> = {}): Promise<PutReport> {
  return put(deps, {
    ns: 'dev',
    sources: sources.map((source) => join(directory, '/') + source),
    pageSizeBytes: 64 * KIB,
    ...options,
  });
}

async function current(): Promise<FileEntry[]> {
  const pinned = await pinVersion(deps, 'dev', { kind: 'head' });
  const entries: FileEntry[] = [];
  for await (const entry of pinned.list()) entries.push(entry);
  return entries;
}

async function keys(prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const page of store.list({ prefix })) found.push(...page.map((object) => object.key));
  return found;
}

describe('paths are those of cp -r:', () => {
  test.each<[string, string[], string | undefined, string[]]>([
    ['a directory keeps its name', ['images'], undefined, ['images/1.jpg', 'images/sub/2.jpg']],
    ['its contents do not', ['images/'], undefined, ['1.jpg', 'sub/2.jpg']],
    ['a dot stands for contents', ['images/.'], undefined, ['1.jpg', 'sub/2.jpg']],
    ['a file has its own name', ['images/sub/2.jpg'], undefined, ['2.jpg']],
    [
      'a prefix goes before all',
      ['images', 'note.txt'],
      'x/y/',
      ['x/y/images/1.jpg', 'x/y/images/sub/2.jpg', 'x/y/note.txt'],
    ],
  ])('%s', async (_name, sources, prefix, expected) => {
    await write('images/1.jpg', 'one');
    await write('images/sub/2.jpg', 'two');
    await write('note.txt', 'note');
    const report = await putSources(sources, { prefix });
    expect((await current()).map((entry) => entry.path)).toEqual(expected);
    expect(report).toMatchObject({ files: expected.length, uploadedFiles: expected.length, publish: { version: 1 } });
  });
});

test('names that no path can have are all told at once, with their line breaks, and nothing is published', async () => {
  const content = `v-${'0'.repeat(64)}`;
  for (const name of ['a\nb', 'good', 'sub/c\r', `sub/${content}`]) await write(`set/${name}`, name);
  const told = [
    `"${directory}/set/a\\nb": it has a NUL, a line break or half a surrogate pair`,
    `"${directory}/set/sub/c\\r": it has a NUL, a line break or half a surrogate pair`,
    `"${directory}/set/sub/${content}": its last component is the name of a content-addressed object`,
  ];
  await expect(putSources(['set'])).rejects.toMatchObject({
    code: 'usage',
    message: `3 files cannot be put: ${told.join('; ')}; rename them`,
    details: { files: 3 },
  });
  expect(await keys('namespaces/dev/manifests/')).toEqual([]);
  const alone = `a file cannot be put: "${directory}/set/a\\nb" as "x/a\\nb": it has a NUL, a line break or half a surrogate pair; rename it`;
  await expect(putSources(['set/a\nb'], { prefix: 'x' })).rejects.toMatchObject({ message: alone });
});

test('of very many such names some are told', async () => {
  for (let index = 0; index < 30; index += 1) await write(`set/${index}\n`, 'x');
  const failure = (await putSources(['set']).catch((error: unknown) => error)) as Error;
  expect(failure.message).toMatch(/^at least 20 files cannot be put: /);
  expect(failure.message.match(/line break/g)).toHaveLength(20);
});

test('entries say what the content is, and the object is there under its hash', async () => {
  const content = Buffer.alloc(200 * KIB, 'abc');
  await write('a.bin', content);
  await putSources(['a.bin']);
  const [entry] = await current();
  const hex = createHash('sha256').update(content).digest('hex');
  expect(entry).toMatchObject({ path: 'a.bin', sizeBytes: content.length, hash: `sha256:${hex}` });
  expect(entry!.pages).toHaveLength(4);
  expect(entry!.storage.key).toBe(`namespaces/dev/files/a.bin/v-${hex}`);
  const object = await store.getWhole({ key: entry!.storage.key, sizeBytesMax: content.length, purpose: 'file' });
  expect(object.bytes.equals(content)).toBe(true);
  expect(object.etag).toBe(entry!.storage.etag);
});

test('what is in the store already is not written again, and an unchanged tree makes no version', async () => {
  await write('t/a', 'a');
  await write('t/b', 'b');
  await putSources(['t']);
  const again = await putSources(['t']);
  expect(again).toMatchObject({
    uploadedFiles: 0,
    reusedFiles: 2,
    publish: { published: false, version: 1, carriedFiles: 2 },
  });
  await write('t/b', 'changed');
  const third = await putSources(['t']);
  expect(third).toMatchObject({
    uploadedFiles: 1,
    reusedFiles: 1,
    publish: { published: true, version: 2, changedFiles: 1, carriedFiles: 1 },
  });
  await utimes(join(directory, 't/b'), 1, 1);
  expect(await putSources(['t'])).toMatchObject({
    publish: { published: true, version: 3, changedFiles: 0, restatedFiles: 1, restatedBytes: 7, carriedFiles: 1 },
  });
});

test('an object of the same name with another size is an error, not a file', async () => {
  await write('a', 'content');
  const hex = createHash('sha256').update('content').digest('hex');
  await store.put({
    key: `namespaces/dev/files/a/v-${hex}`,
    source: { kind: 'bytes', bytes: Buffer.from('other bytes') },
    condition: { kind: 'none' },
    durable: false,
  });
  await expect(putSources(['a'])).rejects.toMatchObject({ code: 'object_changed' });
  await expect(current()).rejects.toMatchObject({ code: 'namespace_not_found' });
});

test('a source that is a symbolic link stands for what it leads to, under the name of the link', async () => {
  await write('elsewhere/a', 'a');
  await symlink('elsewhere', join(directory, 'set'));
  await symlink('elsewhere/a', join(directory, 'one'));
  await symlink('nowhere', join(directory, 'dangling'));
  await putSources(['set', 'one']);
  expect((await current()).map((entry) => entry.path)).toEqual(['one', 'set/a']);
  await putSources(['set/']);
  expect((await current()).map((entry) => entry.path)).toEqual(['a', 'one', 'set/a']);
  await expect(putSources(['dangling'])).rejects.toMatchObject({ code: 'file_not_found' });
});

test('symbolic links below a source are reported and not followed', async () => {
  await write('t/a', 'a');
  await symlink(join(directory, 't/a'), join(directory, 't/link'));
  await symlink('/', join(directory, 't/root'));
  const report = await putSources(['t/']);
  expect(report.skipped.map((skip) => [skip.sourcePath.split('/').at(-1), skip.reason])).toEqual([
    ['link', 'a symbolic link'],
    ['root', 'a symbolic link'],
  ]);
  expect((await current()).map((entry) => entry.path)).toEqual(['a']);
});

test.each([`v-${'0'.repeat(64)}`, 'line\nbreak'])(
  'a file named %j is refused before anything is published',
  async (name) => {
    await write(`t/${name}`, 'a');
    await expect(putSources(['t'])).rejects.toMatchObject({ code: 'usage' });
    await expect(current()).rejects.toMatchObject({ code: 'namespace_not_found' });
  },
);

test('two sources with one path are refused', async () => {
  await write('x/a', '1');
  await write('y/a', '2');
  await expect(putSources(['x/', 'y/'])).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(/two sources/) as string,
  });
});

test('a source that is not there is file_not_found', async () => {
  await expect(putSources(['nothing'])).rejects.toMatchObject({ code: 'file_not_found' });
});

test('a file that grows between the first and the second reading is source_changed', async () => {
  await write('big', Buffer.alloc(1));
  await truncate(join(directory, 'big'), 70 * KIB * KIB);
  let isGrown = false;
  const inner = store.head.bind(store);
  store.head = async (request) => {
    if (request.key.includes('/files/big/') && !isGrown) {
      isGrown = true;
      await truncate(join(directory, 'big'), 71 * KIB * KIB);
    }
    return inner(request);
  };
  await expect(putSources(['big'])).rejects.toMatchObject({ code: 'source_changed' });
  expect(isGrown).toBe(true);
  expect(await keys('namespaces/dev/files/')).toEqual([]);
});

test('every object is made durable before the manifest that names it, reused ones too', async () => {
  await write('t/a', 'a');
  await putSources(['t']);
  await write('t/b', 'b');
  const order: string[] = [];
  const inner = store.put.bind(store);
  store.put = (request) => {
    order.push(`put ${request.key.replace(/v-[0-9a-f]{64}/, 'v')}${request.durable ? ' durable' : ''}`);
    return inner(request);
  };
  const durableStore = Object.assign(store, {
    makeDurable: ({ keys: objects }: { keys: readonly string[] }) => {
      order.push(`durable ${objects.length}`);
      return Promise.resolve();
    },
  });
  deps = { ...deps, store: durableStore };
  await putSources(['t']);
  expect(order.filter((step) => !step.includes('intents') && !step.includes('probe'))).toEqual([
    'put namespaces/dev/files/t/b/v',
    'durable 2',
    'put namespaces/dev/manifests/v-2.json.gz durable',
    'put namespaces/dev/HEAD durable',
  ]);
});

test('a namespace whose HEAD points to nothing is an error before anything is uploaded', async () => {
  await write('a', 'a');
  await putObject(store, 'namespaces/dev/HEAD', 'v-7\n');
  await expect(putSources(['a'])).rejects.toMatchObject({ code: 'manifest_invalid' });
  expect(await keys('namespaces/dev/')).toEqual(['namespaces/dev/HEAD']);
});

test('no intent is left behind, by success or by failure', async () => {
  await write('a', 'a');
  await putSources(['a']);
  await expect(putSources(['nothing'])).rejects.toMatchObject({ code: 'file_not_found' });
  expect(await keys('namespaces/dev/intents/')).toEqual([]);
});

test('an interrupted put publishes nothing', async () => {
  await write('a', 'a');
  const abort = new AbortController();
  const running = putSources(['a'], { signal: abort.signal, onProgress: () => abort.abort() });
  await expect(running).rejects.toMatchObject({ code: 'interrupted' });
  await expect(current()).rejects.toMatchObject({ code: 'namespace_not_found' });
});

test('an interrupted put, repeated, asks for what it had uploaded instead of sending it again', async () => {
  const FILES = 200;
  for (let index = 0; index < FILES; index += 1) await write(`t/${index}`, `content ${index}`);
  const abort = new AbortController();
  const onProgress = ({ filesDone }: { filesDone: number }): void => {
    if (filesDone >= 150) abort.abort();
  };
  await expect(putSources(['t'], { signal: abort.signal, onProgress })).rejects.toMatchObject({ code: 'interrupted' });
  const there = new Set(await keys('namespaces/dev/files/'));
  expect(there.size).toBeGreaterThanOrEqual(150);
  expect(there.size).toBeLessThan(FILES);
  let sentAgain = 0;
  const inner = store.put.bind(store);
  store.put = (request) => {
    if (there.has(request.key)) sentAgain += 1;
    return inner(request);
  };
  const report = await putSources(['t']);
  expect(report).toMatchObject({ reusedFiles: there.size, uploadedFiles: FILES - there.size });
  expect(report.publish).toMatchObject({ version: 1, fileCount: FILES });
  // Those that are under way before the first answer, and again where the interrupted run had stopped.
  expect(sentAgain).toBeLessThanOrEqual(2 * 16);
});

describe('rm', () => {
  test('publishes a version with tombstones, and the older version stays as it was', async () => {
    for (const name of ['t/a', 't/d/b', 't/d/c', 't/e']) await write(name, name);
    await putSources(['t/']);
    const report = await removeFiles(deps, { ns: 'dev', paths: ['a', 'd/'] });
    expect(report).toMatchObject({ version: 2, removedFiles: 3, carriedFiles: 1 });
    const pinned = await pinVersion(deps, 'dev', { kind: 'head' });
    expect(pinned.header).toMatchObject({ parents: [1], tombstones: ['a', 'd/b', 'd/c'] });
    await expect(pinned.lookup('a')).rejects.toMatchObject({ code: 'path_not_found' });
    const old = await pinVersion(deps, 'dev', { kind: 'version', version: 1 });
    expect((await old.lookup('a')).sizeBytes).toBe(3);
  });

  test.each([['nothing'], ['nothing/']])('of %s, which is not there, changes nothing', async (path) => {
    await write('a', 'a');
    await putSources(['a']);
    await expect(removeFiles(deps, { ns: 'dev', paths: ['a', path] })).rejects.toMatchObject({
      code: 'path_not_found',
    });
    expect((await current()).map((entry) => entry.path)).toEqual(['a']);
  });
});
