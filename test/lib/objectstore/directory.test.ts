import { execFile } from 'node:child_process';
import { fstatSync } from 'node:fs';
import { link, mkdir, readFile, readdir, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import type { Disk, DiskFile } from '../../../src/lib/disk/disk.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { DirectoryObjectStore } from '../../../src/lib/objectstore/directory.ts';
import type { DescriptorBytes } from '../../../src/lib/objectstore/object-store.ts';
import { compileForNode } from '../../support/compiled.ts';
import { describeObjectStore } from '../../support/object-store-conformance.ts';
import { getRangeBytes, listAll, patternSource } from '../../support/store-bytes.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const open = async (): Promise<DirectoryObjectStore> =>
  new DirectoryObjectStore({ rootPath: join(await temporaryDirectory(), 'store') });

describeObjectStore('directory', { open, presign: 'usage' });

describeObjectStore('directory without hard links', {
  open: async () => {
    const link = (): Promise<never> => Promise.reject(Object.assign(new Error('no links'), { code: 'EPERM' }));
    // The lock needs links of its own, so only those of the store's objects are refused.
    const disk: Disk = {
      ...nodeDisk,
      link: (from, to) => (to.includes('/.seekfs/lock/') ? nodeDisk.link(from, to) : link()),
    };
    return new DirectoryObjectStore({ rootPath: join(await temporaryDirectory(), 'store'), disk });
  },
  presign: 'usage',
});

async function rootWith(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await temporaryDirectory();
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return root;
}

const textPut = (key: string, text: string) =>
  ({ key, source: { kind: 'bytes', bytes: Buffer.from(text) }, condition: { kind: 'none' }, durable: true }) as const;

describe('directory store', () => {
  test('a file that was copied in is an object, and a plain key is a plain file', async () => {
    const root = await rootWith({ 'namespaces/dev/files/warm.bin': 'by hand' });
    const store = new DirectoryObjectStore({ rootPath: root });
    const key = 'namespaces/dev/files/warm.bin';
    const { etag } = await store.head({ key });
    expect((await getRangeBytes(store, key, { off: 3, len: 4 }, { ifMatch: etag })).toString()).toBe('hand');
    await store.put(textPut('namespaces/dev/HEAD', 'v-1'));
    expect(await readFile(join(root, 'namespaces/dev/HEAD'), 'utf8')).toBe('v-1');
    expect((await listAll(store, '')).map((listed) => listed.key)).toEqual(['namespaces/dev/HEAD', key]);
  });

  test('content-addressed objects leave the plain name free, before and after', async () => {
    const root = await rootWith({});
    const store = new DirectoryObjectStore({ rootPath: root });
    const version = `files/a/v-${'ab'.repeat(32)}`;
    await store.put(textPut(version, 'version'));
    await writeFile(join(root, 'files'), '').catch(() => undefined);
    await rm(join(root, 'files'), { force: true });
    await mkdir(join(root, 'files'));
    await writeFile(join(root, 'files', 'a'), 'plain');
    expect((await store.getWhole({ key: version, sizeBytesMax: 99, purpose: 'meta' })).bytes.toString()).toBe(
      'version',
    );
    expect((await store.getWhole({ key: 'files/a', sizeBytesMax: 99, purpose: 'meta' })).bytes.toString()).toBe(
      'plain',
    );
    expect((await listAll(store, 'files/')).map((listed) => listed.key)).toEqual(['files/a', version]);
  });

  test('content-addressed objects that a tool copied in as plain files are found', async () => {
    const version = `files/a/v-${'ab'.repeat(32)}`;
    const store = new DirectoryObjectStore({ rootPath: await rootWith({ [version]: 'copied' }) });
    expect((await listAll(store, '')).map((listed) => listed.key)).toEqual([version]);
    expect((await store.head({ key: version })).sizeBytes).toBe(6);
  });

  test('any change of a file changes its ETag', async () => {
    const root = await rootWith({ f: 'same' });
    const store = new DirectoryObjectStore({ rootPath: root });
    const etags = new Set<string>();
    const note = async (): Promise<void> => void etags.add((await store.head({ key: 'f' })).etag);
    await note();
    await writeFile(join(root, 'f'), 'SAME');
    await note();
    const { atimeMs, mtimeMs } = await stat(join(root, 'f'));
    await writeFile(join(root, 'f'), 'sAmE');
    await utimes(join(root, 'f'), atimeMs / 1000, mtimeMs / 1000);
    await note();
    await writeFile(join(root, 'g'), 'same');
    await rename(join(root, 'g'), join(root, 'f'));
    await note();
    expect(etags.size).toBe(4);
  });

  test('a file that changes while it is read is object_changed, at its end at the latest', async () => {
    const root = await rootWith({ f: 'x'.repeat(600 * KIB) });
    const store = new DirectoryObjectStore({ rootPath: root });
    const request = { key: 'f', range: { off: 0, len: 600 * KIB }, purpose: 'file' as const };
    let changed = false;
    const write = async (): Promise<void> => {
      if (!changed) await writeFile(join(root, 'f'), 'y'.repeat(600 * KIB), { flag: 'r+' });
      changed = true;
    };
    await expect(store.getRange(request, { write })).rejects.toMatchObject({ code: 'object_changed' });
    const shrink = (): Promise<void> => writeFile(join(root, 'f'), 'short');
    await expect(store.getRange(request, { write: shrink })).rejects.toMatchObject({ code: 'object_changed' });
  });

  test('a sink that takes bytes itself gets the open file in pieces, and the same errors as one that is written to', async () => {
    const root = await rootWith({});
    const sizeBytes = 5 * MIB;
    const store = new DirectoryObjectStore({ rootPath: root });
    await store.put({ key: 'f', source: patternSource(sizeBytes), condition: { kind: 'none' }, durable: false });
    const write = (): never => expect.unreachable();
    const request = { key: 'f', range: { off: 5, len: sizeBytes - 5 }, purpose: 'file' as const };
    const pieces: DescriptorBytes[] = [];
    await store.getRange(request, {
      write,
      take: (piece) => {
        pieces.push(piece);
        expect(fstatSync(piece.fd).size).toBe(sizeBytes);
        return Promise.resolve(piece.len);
      },
    });
    expect(pieces.map(({ off, len }) => [off, len])).toEqual([
      [5, 4 * MIB],
      [5 + 4 * MIB, MIB - 5],
    ]);
    const short = (): Promise<number> => Promise.resolve(7);
    await expect(store.getRange(request, { write, take: short })).rejects.toMatchObject({ code: 'object_changed' });
    const stop = new AbortController();
    const abort = async (piece: DescriptorBytes): Promise<number> => {
      stop.abort();
      await setImmediate();
      // A thread may be reading still: the number must not become another file's.
      expect(fstatSync(piece.fd).size).toBe(sizeBytes);
      return piece.len;
    };
    const stopped = store.getRange({ ...request, signal: stop.signal }, { write, take: abort });
    await expect(stopped).rejects.toMatchObject({ code: 'interrupted' });
    const change = async (piece: DescriptorBytes): Promise<number> => {
      await writeFile(join(root, 'f'), 'y', { flag: 'r+' });
      return piece.len;
    };
    const changed = store.getRange(request, { write, take: change });
    await expect(changed).rejects.toMatchObject({ code: 'object_changed' });
  });

  test('an object that is deleted or replaced while it is read is read to its end', async () => {
    const root = await rootWith({});
    const store = new DirectoryObjectStore({ rootPath: root });
    const sizeBytes = 600 * KIB;
    await store.put({ key: 'f', source: patternSource(sizeBytes), condition: { kind: 'none' }, durable: false });
    let total = 0;
    const write = async (chunk: Uint8Array): Promise<void> => {
      if (total === 0) await store.delete({ keys: ['f'] });
      total += chunk.length;
    };
    await store.getRange({ key: 'f', range: { off: 0, len: sizeBytes }, purpose: 'file' }, { write });
    expect(total).toBe(sizeBytes);
  });

  test('symbolic links are no objects and lead nowhere', async () => {
    const outside = await rootWith({ secret: 'secret' });
    const root = await rootWith({ real: 'real' });
    await symlink(join(outside, 'secret'), join(root, 'link'));
    await symlink(outside, join(root, 'directory'));
    const store = new DirectoryObjectStore({ rootPath: root });
    for (const key of ['link', 'directory/secret']) {
      await expect(store.head({ key })).rejects.toMatchObject({ code: 'object_not_found' });
    }
    await store.put(textPut('directory/new', 'inside'));
    await store.put(textPut('directory/deep/new', 'inside'));
    await store.put(textPut('link', 'inside'));
    await store.delete({ keys: ['directory/secret', 'directory/new'] });
    expect(await readdir(outside)).toEqual(['secret']);
    expect(await readFile(join(outside, 'secret'), 'utf8')).toBe('secret');
    expect((await listAll(store, '')).map(({ key }) => key)).toEqual(['directory/deep/new', 'link', 'real']);
  });

  test('a private directory that leads elsewhere is refused', async () => {
    const [outside, root] = [await rootWith({}), await rootWith({})];
    await symlink(outside, join(root, '.seekfs'));
    const put = new DirectoryObjectStore({ rootPath: root }).put(textPut('k', 'x'));
    await expect(put).rejects.toMatchObject({ code: 'usage' });
    expect(await readdir(outside)).toEqual([]);
  });

  test('a root that does not exist reads as empty, says so, and is made by the first put', async () => {
    const rootPath = join(await temporaryDirectory(), 'a', 'b');
    const store = new DirectoryObjectStore({ rootPath });
    await expect(store.head({ key: 'k' })).rejects.toMatchObject({ code: 'object_not_found' });
    await expect(store.head({ key: 'k' })).rejects.toThrow(rootPath);
    await expect(listAll(store, '')).rejects.toMatchObject({ code: 'bucket_not_found' });
    await store.delete({ keys: ['k'] });
    await expect(stat(rootPath)).rejects.toMatchObject({ code: 'ENOENT' });
    await store.put(textPut('k', 'x'));
    expect((await listAll(store, '')).map(({ key }) => key)).toEqual(['k']);
  });

  test('deleting the last object of a directory removes the directory', async () => {
    const root = await rootWith({});
    const store = new DirectoryObjectStore({ rootPath: root });
    await store.put(textPut('a/b/c', 'x'));
    await store.put(textPut('a/d', 'x'));
    await store.delete({ keys: ['a/b/c'] });
    expect(await readdir(join(root, 'a'))).toEqual(['d']);
    await store.delete({ keys: ['a/d'] });
    expect(await readdir(root)).toEqual(['.seekfs']);
  });

  test('an object is never seen with the ETag that it has while it is put in place', async () => {
    const root = await rootWith({});
    let seen: Promise<string> | undefined;
    const disk: Disk = {
      ...nodeDisk,
      remove: async (path) => {
        // The temporary name is about to go: both names exist, and a reader looks.
        if (path.includes('/tmp/'))
          seen ??= new DirectoryObjectStore({ rootPath: root }).head({ key: 'k' }).then((h) => h.etag);
        await nodeDisk.remove(path);
      },
    };
    const { etag } = await new DirectoryObjectStore({ rootPath: root, disk }).put(textPut('k', 'x'));
    expect(await seen).toBe(etag);
  });

  test('a hard link that a user made long ago is an object like any other', async () => {
    const root = await rootWith({ a: 'x' });
    await link(join(root, 'a'), join(root, 'b'));
    const store = new DirectoryObjectStore({ rootPath: root });
    expect((await listAll(store, '')).map(({ key, sizeBytes }) => [key, sizeBytes])).toEqual([
      ['a', 1],
      ['b', 1],
    ]);
  });

  test('a put that fails half-way leaves nothing but what was there', async () => {
    const root = await rootWith({ k: 'old' });
    const full: Disk = {
      ...nodeDisk,
      open: async (path, mode) => {
        const file = await nodeDisk.open(path, mode);
        if (!path.includes('/tmp/')) return file;
        const write: DiskFile['write'] = () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' }));
        return { ...bound(file), write };
      },
    };
    const store = new DirectoryObjectStore({ rootPath: root, disk: full });
    await expect(store.put(textPut('k', 'new'))).rejects.toMatchObject({ code: 'disk_full' });
    expect(await readFile(join(root, 'k'), 'utf8')).toBe('old');
    expect(await readdir(join(root, '.seekfs', 'tmp'))).toEqual([]);
  });

  test('a durable put syncs the bytes before they are linked, and every directory above afterwards', async () => {
    const root = join(await temporaryDirectory(), 'store');
    const calls: string[] = [];
    const disk: Disk = {
      ...nodeDisk,
      open: async (path, mode) => {
        const file = await nodeDisk.open(path, mode);
        const sync = (): Promise<void> => {
          calls.push('sync');
          return file.sync();
        };
        return { ...bound(file), sync };
      },
      link: (from, to) => {
        calls.push('link');
        return nodeDisk.link(from, to);
      },
      syncDirectory: (path) => {
        calls.push(path.slice(dirname(root).length));
        return nodeDisk.syncDirectory(path);
      },
    };
    await new DirectoryObjectStore({ rootPath: root, disk }).put(textPut('a/b', 'x'));
    expect(calls.slice(0, 2)).toEqual(['sync', 'link']);
    expect(calls.slice(2).sort()).toEqual(['', '/store', '/store/a']);
  });

  test('temporary files of processes that died are swept after a day', async () => {
    const root = await rootWith({ '.seekfs/tmp/1-old': 'x', '.seekfs/tmp/1-new': 'x' });
    await utimes(join(root, '.seekfs/tmp/1-old'), 1, 1);
    const store = new DirectoryObjectStore({ rootPath: root });
    expect(await listAll(store, '')).toEqual([]);
    await store.put(textPut('k', 'x'));
    expect(await readdir(join(root, '.seekfs/tmp'))).toEqual(['1-new']);
  });
});

describe('directory store between processes', () => {
  test('no compare and swap is lost, and every key is created by one', async () => {
    const [program] = (await compileForNode(['test/support/programs/store-counter.ts'])) as [string];
    const rootPath = join(await temporaryDirectory(), 'store');
    await new DirectoryObjectStore({ rootPath }).put(textPut('number', '0'));
    const runs = Array.from({ length: 4 }, () => promisify(execFile)(process.execPath, [program, rootPath, '12']));
    const created = (await Promise.all(runs)).map(({ stdout }) => Number(stdout));
    expect(await readFile(join(rootPath, 'number'), 'utf8')).toBe('48');
    expect(created.reduce((sum, count) => sum + count, 0)).toBe(12);
  });
});

/** The methods of a file as a plain object, to replace some. */
function bound(file: DiskFile): DiskFile {
  return {
    read: (buffers, position) => file.read(buffers, position),
    write: (buffers, position) => file.write(buffers, position),
    sync: () => file.sync(),
    truncate: (sizeBytes) => file.truncate(sizeBytes),
    stat: () => file.stat(),
    close: () => file.close(),
  };
}
