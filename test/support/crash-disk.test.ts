import { describe, expect, test } from 'vitest';
import { CrashDisk } from './crash-disk.ts';
import type { CrashKind } from './crash-remains.ts';
import { FaultDisk } from './fault-disk.ts';

async function diskWith(names: Record<string, string>): Promise<CrashDisk> {
  const disk = new CrashDisk();
  await disk.makeDirectory('/d');
  for (const [name, text] of Object.entries(names)) disk.plant(`/d/${name}`, Buffer.from(text));
  disk.settle();
  return disk;
}

/** What `/d/a` holds after crashes of 200 seeds; '-' where it is gone. */
async function outcomes(disk: CrashDisk, kind: CrashKind = 'power'): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let seed = 0; seed < 200; seed += 1) {
    const after = disk.reopen(seed, kind);
    seen.add((await after.list('/d')).includes('a') ? after.bytesOf('/d/a').toString() : '-');
  }
  return seen;
}

describe('CrashDisk', () => {
  test('a power loss keeps synced bytes and any part of the others', async () => {
    const disk = await diskWith({ a: '' });
    const file = await disk.open('/d/a', 'update');
    await file.write([Buffer.alloc(512, 's')], 0);
    await file.sync();
    await file.write([Buffer.alloc(1024, 'u')], 512);
    const synced = 's'.repeat(512);
    const seen = await outcomes(disk);
    for (const text of seen) expect(text.startsWith(synced)).toBe(true);
    const tails = new Set([...seen].map((text) => text.slice(512)));
    const [one, zeros] = ['u'.repeat(512), '\0'.repeat(512)];
    // Nothing, all, the first sector alone, the second alone (after a hole), and a size without bytes.
    for (const tail of ['', one + one, one, zeros + one, zeros + zeros]) expect(tails.has(tail)).toBe(true);
  });

  test('a name is durable only after a sync of its directory, however often the file was synced', async () => {
    const disk = await diskWith({});
    const file = await disk.open('/d/a', 'create');
    await file.write([Buffer.from('x')], 0);
    await file.sync();
    expect(await outcomes(disk.clone())).toEqual(new Set(['x']));
    expect(await outcomes(disk)).toEqual(new Set(['x', '-']));
    const again = await diskWith({});
    const synced = await again.open('/d/a', 'create');
    await synced.write([Buffer.from('x')], 0);
    await synced.sync();
    await again.syncDirectory('/d');
    expect(await outcomes(again)).toEqual(new Set(['x']));
  });

  test('a rename is there whole or not at all', async () => {
    const disk = await diskWith({ a: 'old', b: 'new' });
    await disk.rename('/d/b', '/d/a');
    const seen = new Set<string>();
    for (let seed = 0; seed < 50; seed += 1) {
      const after = disk.reopen(seed);
      seen.add(`${(await after.list('/d')).join()}=${after.bytesOf('/d/a').toString()}`);
    }
    expect(seen).toEqual(new Set(['a=new', 'a,b=old']));
  });

  test('a removal that was not synced may come undone', async () => {
    const disk = await diskWith({ a: 'x' });
    await disk.remove('/d/a');
    expect(await outcomes(disk)).toEqual(new Set(['x', '-']));
    expect(await outcomes(disk, 'kill')).toEqual(new Set(['-']));
  });

  test('it dies in the n-th changing operation; a write in flight leaves any prefix', async () => {
    const disk = await diskWith({ a: '' });
    const file = await disk.open('/d/a', 'update');
    disk.dieAfter(1);
    await file.write([Buffer.from('one ')], 0);
    await expect(file.write([Buffer.from('two')], 4)).rejects.toMatchObject({ code: 'EIO' });
    expect(disk.dead && disk.diedInWrite).toBe(true);
    await expect(file.read([Buffer.alloc(1)], 0)).rejects.toMatchObject({ code: 'EIO' });
    await expect(disk.list('/d')).rejects.toMatchObject({ code: 'EIO' });
    await file.close();
    expect(disk.openFiles).toBe(0);
    expect(await outcomes(disk, 'kill')).toEqual(new Set(['one ', 'one t', 'one tw', 'one two']));
  });

  test('the same seed gives the same remains', async () => {
    const disk = await diskWith({ a: '' });
    const file = await disk.open('/d/a', 'update');
    await file.write([Buffer.alloc(64 * 512, 'u')], 0);
    for (let seed = 0; seed < 20; seed += 1) {
      expect(disk.reopen(seed).bytesOf('/d/a').equals(disk.reopen(seed).bytesOf('/d/a'))).toBe(true);
    }
  });

  test('it is full where its size says so', async () => {
    const disk = new CrashDisk({ totalBytes: 10 });
    const file = await disk.open('/a', 'create');
    await file.write([Buffer.alloc(8)], 0);
    await expect(file.write([Buffer.alloc(3)], 8)).rejects.toMatchObject({ code: 'ENOSPC' });
    await file.write([Buffer.alloc(10)], 0);
    expect(await disk.space('/')).toEqual({ freeBytes: 0, totalBytes: 10 });
  });
});

describe('FaultDisk', () => {
  test('fails what is scripted, and nothing else', async () => {
    const disk = new FaultDisk(await diskWith({ a: 'x', b: 'y' }));
    disk.fail({ code: 'EACCES', operations: ['open'], path: /a$/, skip: 1, times: 1 });
    await disk.open('/d/a', 'read');
    await disk.open('/d/b', 'read');
    await expect(disk.open('/d/a', 'read')).rejects.toMatchObject({ code: 'EACCES' });
    await disk.open('/d/a', 'read');
    expect(disk.fired).toBe(1);
    expect(disk.count('open')).toBe(4);
  });

  test('a write that finds no space leaves half of its bytes', async () => {
    const inner = await diskWith({ a: '' });
    const disk = new FaultDisk(inner);
    const file = await disk.open('/d/a', 'update');
    disk.fail({ code: 'ENOSPC', operations: ['write'] });
    await expect(file.write([Buffer.from('hello!')], 0)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(inner.bytesOf('/d/a').toString()).toBe('hel');
    disk.heal();
    await file.write([Buffer.from('hello!')], 0);
    expect(inner.bytesOf('/d/a').toString()).toBe('hello!');
  });
});
