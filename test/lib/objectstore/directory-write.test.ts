import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import type { Disk } from '../../../src/lib/disk/disk.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { DirectoryObjectStore } from '../../../src/lib/objectstore/directory.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let rootPath: string;
let synced: string[];

/** Says what is synced, by names below the root. */
function watchedDisk(hasFileSystemSync: boolean): Disk {
  const nameOf = (path: string): string => (path.startsWith(rootPath) ? path.slice(rootPath.length) || '/' : '..');
  return {
    ...nodeDisk,
    open: async (path, mode) => {
      const file = await nodeDisk.open(path, mode);
      const sync = file.sync.bind(file);
      file.sync = () => {
        synced.push(`file ${nameOf(path)}`);
        return sync();
      };
      return file;
    },
    syncDirectory: (path) => {
      synced.push(`directory ${nameOf(path)}`);
      return nodeDisk.syncDirectory(path);
    },
    syncFileSystem: () => {
      synced.push('file system');
      return Promise.resolve(hasFileSystemSync);
    },
  };
}

async function putMany(store: DirectoryObjectStore, count: number, durable: boolean): Promise<string[]> {
  const keys = Array.from({ length: count }, (_, index) => `a/b/${index}`);
  for (const key of keys) {
    const source = { kind: 'bytes', bytes: Buffer.from(key) } as const;
    await store.put({ key, source, condition: { kind: 'absent' }, durable });
  }
  return keys;
}

beforeEach(async () => {
  rootPath = await temporaryDirectory('seekfs-directory-write');
  synced = [];
});

test('a durable put syncs the file and the directories with a new name in them, and those once', async () => {
  const store = new DirectoryObjectStore({ rootPath, disk: watchedDisk(true) });
  await putMany(store, 2, true);
  const directories = synced.filter((step) => step.startsWith('directory /')).sort();
  expect(synced.filter((step) => step === 'directory ..')).toHaveLength(1);
  expect(directories).toEqual(['directory /', 'directory /a', 'directory /a/b', 'directory /a/b']);
  expect(synced.filter((step) => step.startsWith('file '))).toHaveLength(2);
});

test('few objects are made durable one by one', async () => {
  const store = new DirectoryObjectStore({ rootPath, disk: watchedDisk(true) });
  const keys = await putMany(store, 3, false);
  expect(synced).toEqual([]);
  await store.makeDurable({ keys });
  expect(synced.filter((step) => step.startsWith('file '))).toEqual(['file /a/b/0', 'file /a/b/1', 'file /a/b/2']);
  expect(synced).toContain('directory /a/b');
});

test.each([true, false])(
  'many objects by one sync of the file system, where that can be asked for: %s',
  async (has) => {
    const store = new DirectoryObjectStore({ rootPath, disk: watchedDisk(has) });
    const keys = await putMany(store, 20, false);
    await store.makeDurable({ keys });
    expect(synced[0]).toBe('file system');
    expect(synced.filter((step) => step.startsWith('file /'))).toHaveLength(has ? 0 : 20);
    expect(await readdir(join(rootPath, 'a', 'b'))).toHaveLength(20);
  },
);

test('making what is not there durable is object_not_found', async () => {
  const store = new DirectoryObjectStore({ rootPath, disk: watchedDisk(true) });
  await putMany(store, 1, false);
  await expect(store.makeDurable({ keys: ['a/b/0', 'gone'] })).rejects.toMatchObject({ code: 'object_not_found' });
});

test('a writer that slept while its lock was taken over replaces nothing', async () => {
  const key = 'a/swapped';
  const put = (store: DirectoryObjectStore, text: string, etag?: string): Promise<{ etag: string }> => {
    const source = { kind: 'bytes', bytes: Buffer.from(text) } as const;
    const condition = etag === undefined ? ({ kind: 'absent' } as const) : ({ kind: 'match', etag } as const);
    return store.put({ key, source, condition, durable: false });
  };
  const other = new DirectoryObjectStore({ rootPath });
  const { etag } = await put(other, 'first');
  const lockPath = join(rootPath, '.seekfs', 'lock');
  let isLocked = false;
  let takenOver: Promise<{ etag: string }> | undefined;
  const sleepy: Disk = {
    ...nodeDisk,
    link: async (from, to) => {
      await nodeDisk.link(from, to);
      isLocked ||= to.startsWith(lockPath);
    },
    stat: async (path) => {
      const stat = await nodeDisk.stat(path);
      // Here it sleeps, having seen the object as it was: others take its lock for that of a dead process.
      if (isLocked && !takenOver && path === join(rootPath, key)) {
        const [held] = (await readdir(lockPath)).filter((name) => name.startsWith('lock.'));
        await writeFile(join(lockPath, `lock.${Number(held!.slice('lock.'.length)) + 1}`), 'R');
        takenOver = put(other, 'second', etag);
        await takenOver;
      }
      return stat;
    },
  };
  const late = put(new DirectoryObjectStore({ rootPath, disk: sleepy }), 'late', etag);
  await expect(late).rejects.toMatchObject({ code: 'precondition_failed' });
  await expect(takenOver).resolves.toMatchObject({ etag: expect.any(String) });
  expect(await readFile(join(rootPath, key), 'utf8')).toBe('second');
});
