// What every Disk does, the one over node:fs and the one in memory alike: the suite that keeps tests on the second true
// of the first.
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { pageAlignedMemory } from '../../src/lib/base/page-aligned.ts';
import { KIB } from '../../src/lib/base/units.ts';
import type { Disk } from '../../src/lib/disk/disk.ts';

async function put(disk: Disk, path: string, text: string): Promise<void> {
  const file = await disk.open(path, 'create');
  await file.write([Buffer.from(text)], 0);
  await file.close();
}

async function textOf(disk: Disk, path: string): Promise<string> {
  const file = await disk.open(path, 'read');
  try {
    const { sizeBytes } = await file.stat();
    const buffer = Buffer.alloc(sizeBytes);
    await file.read([buffer], 0);
    return buffer.toString();
  } finally {
    await file.close();
  }
}

/** `make` gives the disk and an existing empty directory on it. */
export function testDiskConformance(name: string, make: () => Promise<{ disk: Disk; directory: string }>): void {
  describe(`${name} keeps the Disk contract`, () => {
    let disk: Disk;
    let at: (...names: string[]) => string;

    beforeEach(async () => {
      const made = await make();
      disk = made.disk;
      at = (...names) => join(made.directory, ...names);
    });

    test('writes buffers in order at a position and fills buffers in order', async () => {
      const file = await disk.open(at('a'), 'create');
      await file.write([Buffer.from('01'), Buffer.alloc(0), Buffer.from('234'), Buffer.from('56789')], 0);
      await file.write([Buffer.from('xy')], 3);
      const buffers = [Buffer.alloc(3), Buffer.alloc(0), Buffer.alloc(4)];
      expect(await file.read(buffers, 1)).toBe(7);
      expect(buffers.map(String)).toEqual(['12x', '', 'y567']);
      await file.close();
    });

    test('writes the same past the page cache, whatever of it can go there', async () => {
      const file = await disk.open(at('a'), 'create');
      const memory = pageAlignedMemory(64 * KIB);
      for (let at = 0; at < memory.length; at += 1) memory[at] = at * 7 + (at >>> 12);
      const wanted = Buffer.alloc(96 * KIB);
      let position = 0;
      const write = async (buffers: Buffer[], options: { direct: boolean }): Promise<void> => {
        await file.write(buffers, position, options);
        for (const buffer of buffers) position += buffer.copy(wanted, position);
      };
      await write([Buffer.from('head'), memory.subarray(4, 4 * KIB)], { direct: true });
      await write([memory.subarray(0, 8 * KIB), memory.subarray(12 * KIB, 20 * KIB + 3)], { direct: true });
      await write([memory.subarray(0, 4 * KIB - 3)], { direct: false });
      await write([memory.subarray(4 * KIB, 36 * KIB), Buffer.from('tail')], { direct: true });
      const back = Buffer.alloc(position);
      expect(await file.read([back], 0)).toBe(position);
      expect(back.equals(wanted.subarray(0, position))).toBe(true);
      await file.write([memory.subarray(0, 4 * KIB)], 4 * KIB, { direct: true });
      memory.copy(wanted, 4 * KIB, 0, 4 * KIB);
      await file.read([back], 0);
      expect(back.equals(wanted.subarray(0, position))).toBe(true);
      expect((await file.stat()).sizeBytes).toBe(position);
      await file.close();
    });

    test('reads fewer bytes only at the end of the file, and none past it', async () => {
      await put(disk, at('a'), 'hello');
      const file = await disk.open(at('a'), 'read');
      const buffers = [Buffer.alloc(3, '.'), Buffer.alloc(4, '.')];
      expect(await file.read(buffers, 1)).toBe(4);
      expect(buffers.map(String)).toEqual(['ell', 'o...']);
      expect(await file.read([Buffer.alloc(1)], 5)).toBe(0);
      expect(await file.read([Buffer.alloc(1)], 500)).toBe(0);
      await file.close();
    });

    test('takes more buffers in one call than a vector of the system holds', async () => {
      const file = await disk.open(at('a'), 'create');
      const pieces = Array.from({ length: 2500 }, (_, index) => Buffer.from([index % 251]));
      await file.write(pieces, 0);
      const back = pieces.map(() => Buffer.alloc(1));
      expect(await file.read(back, 0)).toBe(2500);
      expect(Buffer.concat(back).equals(Buffer.concat(pieces))).toBe(true);
      await file.close();
    });

    test('leaves zeros where a write begins past the end', async () => {
      const file = await disk.open(at('a'), 'create');
      await file.write([Buffer.from('x')], 3);
      await file.close();
      expect(await textOf(disk, at('a'))).toBe('\0\0\0x');
    });

    test('truncates and extends with zeros', async () => {
      const file = await disk.open(at('a'), 'create');
      await file.write([Buffer.from('hello')], 0);
      await file.truncate(2);
      await file.truncate(4);
      await file.sync();
      expect((await file.stat()).sizeBytes).toBe(4);
      await file.close();
      expect(await textOf(disk, at('a'))).toBe('he\0\0');
    });

    test('creates exclusively, and opens only what exists', async () => {
      await put(disk, at('a'), '1');
      await expect(disk.open(at('a'), 'create')).rejects.toMatchObject({ code: 'EEXIST' });
      await expect(disk.open(at('b'), 'read')).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(disk.open(at('b'), 'update')).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(disk.open(at('none', 'b'), 'create')).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(disk.open(at('a', 'b'), 'create')).rejects.toMatchObject({ code: 'ENOTDIR' });
    });

    test('updates an existing file in place, and refuses to write one that is open for reading', async () => {
      await put(disk, at('a'), 'hello');
      const update = await disk.open(at('a'), 'update');
      await update.write([Buffer.from('J')], 0);
      await update.close();
      const reading = await disk.open(at('a'), 'read');
      await expect(reading.write([Buffer.from('x')], 0)).rejects.toMatchObject({ code: 'EBADF' });
      await reading.close();
      expect(await textOf(disk, at('a'))).toBe('Jello');
    });

    test('lists names by code unit and says what is missing or no directory', async () => {
      for (const name of ['b', 'a', 'B', 'ä', '10', '9']) await put(disk, at(name), '');
      expect(await disk.list(at())).toEqual(['10', '9', 'B', 'a', 'b', 'ä']);
      await expect(disk.list(at('none'))).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(disk.list(at('a'))).rejects.toMatchObject({ code: 'ENOTDIR' });
    });

    test('makes directories with missing parents, twice without complaint, and removes empty ones', async () => {
      await disk.makeDirectory(at('d', 'e', 'f'));
      await disk.makeDirectory(at('d', 'e', 'f'));
      await put(disk, at('d', 'file'), '');
      await expect(disk.makeDirectory(at('d', 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
      await expect(disk.makeDirectory(at('d', 'file', 'x'))).rejects.toMatchObject({ code: 'ENOTDIR' });
      expect((await disk.stat(at('d'))).kind).toBe('directory');
      await expect(disk.removeDirectory(at('d', 'e'))).rejects.toMatchObject({ code: 'ENOTEMPTY' });
      await disk.removeDirectory(at('d', 'e', 'f'));
      await disk.removeDirectory(at('d', 'e'));
      expect(await disk.list(at('d'))).toEqual(['file']);
    });

    test('renames over an existing file, and keeps the open one readable', async () => {
      await put(disk, at('a'), 'new');
      await put(disk, at('b'), 'old');
      const open = await disk.open(at('b'), 'read');
      await disk.rename(at('a'), at('b'));
      const buffer = Buffer.alloc(3);
      await open.read([buffer], 0);
      expect(buffer.toString()).toBe('old');
      expect((await open.stat()).links).toBe(0);
      await open.close();
      expect(await textOf(disk, at('b'))).toBe('new');
      expect(await disk.list(at())).toEqual(['b']);
      await expect(disk.rename(at('a'), at('c'))).rejects.toMatchObject({ code: 'ENOENT' });
    });

    test('gives a file a second name, once', async () => {
      await put(disk, at('a'), 'x');
      await disk.link(at('a'), at('b'));
      await expect(disk.link(at('a'), at('b'))).rejects.toMatchObject({ code: 'EEXIST' });
      const [first, second] = [await disk.stat(at('a')), await disk.stat(at('b'))];
      expect(first.inode).toBe(second.inode);
      expect(second.links).toBe(2);
      await disk.remove(at('a'));
      expect((await disk.stat(at('b'))).links).toBe(1);
      expect(await textOf(disk, at('b'))).toBe('x');
    });

    test('leaves two names of one file as they are when one is renamed to the other', async () => {
      await put(disk, at('a'), 'x');
      await disk.link(at('a'), at('b'));
      await disk.rename(at('a'), at('b'));
      expect(await disk.list(at())).toEqual(['a', 'b']);
    });

    test('removes files only, and an open one still reads', async () => {
      await put(disk, at('a'), 'x');
      const open = await disk.open(at('a'), 'read');
      await disk.remove(at('a'));
      await expect(disk.remove(at('a'))).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(disk.stat(at('a'))).rejects.toMatchObject({ code: 'ENOENT' });
      expect(await open.read([Buffer.alloc(1)], 0)).toBe(1);
      await open.close();
    });

    test('says size, kind and links, and a time that moves with a change', async () => {
      await put(disk, at('a'), 'hello');
      const stat = await disk.stat(at('a'));
      expect(stat).toMatchObject({ kind: 'file', sizeBytes: 5, links: 1 });
      expect(stat.mtimeNs).toBeGreaterThan(0n);
      const file = await disk.open(at('a'), 'update');
      await file.write([Buffer.from('!')], 5);
      expect((await file.stat()).sizeBytes).toBe(6);
      expect((await file.stat()).ctimeNs).toBeGreaterThanOrEqual(stat.ctimeNs);
      await file.close();
    });

    test('syncs files and directories, and tells the space', async () => {
      const file = await disk.open(at('a'), 'create');
      await file.sync();
      await file.close();
      await disk.syncDirectory(at());
      const { freeBytes, totalBytes } = await disk.space(at());
      expect(freeBytes).toBeGreaterThan(0);
      expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
    });

    test('refuses a closed file', async () => {
      const file = await disk.open(at('a'), 'create');
      await file.close();
      await expect(file.read([Buffer.alloc(1)], 0)).rejects.toMatchObject({ code: 'EBADF' });
      await expect(file.write([Buffer.alloc(1)], 0)).rejects.toMatchObject({ code: 'EBADF' });
    });
  });
}
