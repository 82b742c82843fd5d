import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Disk, DiskFile } from '../../../src/lib/disk/disk.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { makeDirectoryDurably, writeFileAtomically, writeFileDurably } from '../../../src/lib/disk/write-durably.ts';
import { CrashDisk } from '../../support/crash-disk.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

/** The node disk with a record of the calls that change something, and a fault at the n-th of them. */
function recordingDisk(failAt = Infinity): { disk: Disk; calls: string[] } {
  const calls: string[] = [];
  const record = (call: string): void => {
    calls.push(call);
    if (calls.length > failAt) throw Object.assign(new Error('injected'), { code: 'EIO' });
  };
  const disk: Disk = {
    ...nodeDisk,
    open: async (path, mode) => {
      record('open');
      const file = await nodeDisk.open(path, mode);
      const recorded: DiskFile = {
        read: (buffers, position) => file.read(buffers, position),
        write: async (buffers, position) => {
          record('write');
          await file.write(buffers, position);
        },
        sync: async () => {
          record('sync');
          await file.sync();
        },
        truncate: (sizeBytes) => file.truncate(sizeBytes),
        stat: () => file.stat(),
        close: () => file.close(),
      };
      return recorded;
    },
    rename: async (from, to) => {
      record('rename');
      await nodeDisk.rename(from, to);
    },
    syncDirectory: async (path) => {
      record('syncDirectory');
      await nodeDisk.syncDirectory(path);
    },
  };
  return { disk, calls };
}

describe('writeFileDurably', () => {
  test('syncs the bytes before the rename, and the directory after it', async () => {
    const directory = await temporaryDirectory();
    const { disk, calls } = recordingDisk();
    await writeFileDurably(disk, join(directory, 'HEAD'), Buffer.from('v-1'));
    expect(calls).toEqual(['open', 'write', 'sync', 'rename', 'syncDirectory']);
    expect(await readFile(join(directory, 'HEAD'), 'utf8')).toBe('v-1');
    expect(await readdir(directory)).toEqual(['HEAD']);
  });

  test.each([0, 1, 2, 3])('leaves the old content and no temporary file when operation %i fails', async (failAt) => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'HEAD'), 'old');
    const { disk, calls } = recordingDisk(failAt);
    await expect(writeFileDurably(disk, join(directory, 'HEAD'), Buffer.from('new'))).rejects.toMatchObject({
      code: 'EIO',
    });
    expect(calls).toHaveLength(failAt + 1);
    expect(await readFile(join(directory, 'HEAD'), 'utf8')).toBe('old');
    expect(await readdir(directory)).toEqual(['HEAD']);
  });
});

describe('writeFileAtomically', () => {
  test('renames what is whole, and syncs nothing', async () => {
    const directory = await temporaryDirectory();
    const { disk, calls } = recordingDisk();
    await writeFileAtomically(disk, join(directory, 'cache.json'), Buffer.from('{}'));
    expect(calls).toEqual(['open', 'write', 'rename']);
    expect(await readdir(directory)).toEqual(['cache.json']);
  });
});

describe('makeDirectoryDurably', () => {
  test('makes every new name durable, so that a power loss takes nothing that was synced inside', async () => {
    const disk = new CrashDisk();
    await disk.makeDirectory('/mnt');
    disk.settle();
    await (
      await makeDirectoryDurably(disk, '/mnt/cache/segments')
    ).durable;
    for (let seed = 0; seed < 20; seed += 1) {
      expect(await disk.reopen(seed).list('/mnt/cache')).toEqual(['segments']);
    }
  });

  test('costs one stat where the directory is there', async () => {
    const disk = new CrashDisk();
    await disk.makeDirectory('/mnt/cache');
    const before = disk.operations;
    await (
      await makeDirectoryDurably(disk, '/mnt/cache')
    ).durable;
    expect(disk.operations).toBe(before);
  });
});
