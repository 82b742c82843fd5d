import { copyFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import initSqlJs from 'sql.js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import { openTestStore, testPage, type TestPage, type TestStore } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let directory: string;
const opened: TestStore[] = [];
const pages: TestPage[] = [
  testPage({ path: 'a.bin', pageId: 0, len: GRANULE_BYTES + 5 }),
  testPage({ path: 'a.bin', pageId: 1, len: GRANULE_BYTES + 5 }),
  testPage({ path: 'dir/b.bin', pageId: 0, len: 3 * GRANULE_BYTES }),
];

beforeEach(async () => {
  directory = await temporaryDirectory();
  for (const page of pages) {
    const one = await openTestStore(directory);
    await one.put(page);
    await one.store.close();
  }
  const cleaner = await openTestStore(directory);
  expect(await cleaner.store.maintenance.clean()).toBeDefined();
  await cleaner.store.close();
});

afterEach(async () => {
  for (const { store } of opened.splice(0)) await store.close();
});

async function open(options: Parameters<typeof openTestStore>[1] = {}): Promise<TestStore> {
  const store = await openTestStore(directory, options);
  opened.push(store);
  return store;
}

async function expectAll(l2: TestStore): Promise<void> {
  for (const page of pages) expect(await l2.get(page), page.page.path).toBeDefined();
}

const sidecar = (): string => join(directory, 'index.bin');

/** Reads of an open, but for the directory's own files. */
async function readsOfOpen(): Promise<number> {
  const disk = new FaultDisk(nodeDisk);
  await open({ disk });
  return disk.count('read');
}

describe('the sidecar', () => {
  test('saves a look into every segment', async () => {
    const withIt = await readsOfOpen();
    rmSync(sidecar());
    expect(await readsOfOpen()).toBeGreaterThanOrEqual(withIt + pages.length);
  });

  test('and what was appended after it make the whole', async () => {
    const later = testPage({ path: 'later' });
    const writer = await open();
    await writer.put(later);
    const l2 = await open();
    await expectAll(l2);
    expect(await l2.get(later)).toBeDefined();
  });

  test('forgets segments that are gone, and sees those that came', async () => {
    const first = readFileSync(sidecar());
    const l2 = await open();
    l2.store.maintenance.knowDead((file) => file.path === 'a.bin');
    await l2.store.maintenance.clean();
    writeFileSync(sidecar(), first);
    const stale = await open();
    expect(await stale.get(pages[0]!)).toBeUndefined();
    expect(await stale.get(pages[2]!)).toBeDefined();
  });

  test('of another cache, from the future or of another version costs time only', async () => {
    const bytes = readFileSync(sidecar());
    const changes: ((copy: Buffer) => void)[] = [
      (copy) => copy.writeUInt16LE(2, 8),
      (copy) => copy.writeUInt16LE(8, 10),
      (copy) => copy.writeUInt32LE(0xffff_ffff, 24),
      (copy) => copy.writeUInt32LE(0xffff_ffff, 28),
      (copy) => copy.fill(0),
    ];
    for (const change of changes) {
      const copy = Buffer.from(bytes);
      change(copy);
      writeFileSync(sidecar(), copy);
      await expectAll(await open());
    }
  });

  test('with any byte flipped, or cut anywhere, costs time only', async () => {
    const bytes = readFileSync(sidecar());
    // The head byte by byte; the slots, most of which are empty, here and there.
    for (let at = 0; at < bytes.length; at += at < 400 ? 1 : 997) {
      const copy = Buffer.from(bytes);
      copy[at]! ^= 0x10;
      writeFileSync(sidecar(), copy);
      const l2 = await openTestStore(directory);
      await expectAll(l2);
      await l2.store.close();
    }
    for (let length = 0; length < bytes.length; length += length < 100 ? 7 : 2003) {
      writeFileSync(sidecar(), bytes);
      truncateSync(sidecar(), length);
      const l2 = await openTestStore(directory);
      await expectAll(l2);
      await l2.store.close();
    }
  });
});

test('a process that ends leaves the sidecar when enough has changed, and does not wait for the SQLite checkpoint', async () => {
  const other = await temporaryDirectory();
  const leave = async (first: number, count: number): Promise<void> => {
    const l2 = await openTestStore(other);
    for (let pageId = first; pageId < first + count; pageId += 1) {
      await l2.put(testPage({ path: 'small', pageId, len: 500 }));
    }
    await l2.store.close();
  };
  const indexBytes = (): number => (existsSync(join(other, 'index.bin')) ? statSync(join(other, 'index.bin')).size : 0);
  await leave(0, 4000);
  expect(indexBytes()).toBe(0);
  await leave(4000, 1000);
  expect(existsSync(join(other, 'index.sqlite'))).toBe(false);
  expect(indexBytes()).toBeGreaterThan(5000 * 28);
  const l2 = await openTestStore(other);
  for (const pageId of [0, 4999]) expect(await l2.get(testPage({ path: 'small', pageId, len: 500 }))).toBeDefined();
  await l2.store.close();
});

describe('the SQLite checkpoint', () => {
  async function query(sql: string): Promise<unknown[][]> {
    const { Database } = await initSqlJs();
    const db = new Database(readFileSync(join(directory, 'index.sqlite')));
    const rows = db.exec(sql)[0]?.values ?? [];
    db.close();
    return rows;
  }

  test('says what is cached of a file', async () => {
    expect(
      await query("SELECT page_id, page_off, off_in_page, bytes FROM cached WHERE path = 'a.bin' ORDER BY page_id"),
    ).toEqual([
      [0, 0, 0, GRANULE_BYTES + 5],
      [1, GRANULE_BYTES + 5, 0, GRANULE_BYTES + 5],
    ]);
    expect(await query('SELECT ns, path, sum(bytes) FROM cached GROUP BY ns, path ORDER BY path')).toEqual([
      ['dev', 'a.bin', 2 * (GRANULE_BYTES + 5)],
      ['dev', 'dir/b.bin', 3 * GRANULE_BYTES],
    ]);
    expect(await query('PRAGMA user_version')).toEqual([[1]]);
    expect(await query('PRAGMA integrity_check')).toEqual([['ok']]);
  });

  test('says how far each segment is covered', async () => {
    const rows = await query('SELECT id, sealed, size_bytes > covered_bytes, covered_bytes > 0 FROM segment');
    expect(rows).toHaveLength(3);
    for (const row of rows) expect(row.slice(1)).toEqual([1, 1, 1]);
  });

  test('is never needed', async () => {
    rmSync(join(directory, 'index.sqlite'));
    await expectAll(await open());
    writeFileSync(join(directory, 'index.sqlite'), 'no database');
    const l2 = await open();
    await expectAll(l2);
    await l2.store.maintenance.clean();
    expect(await query('SELECT count(*) FROM record')).toEqual([[3]]);
  });

  test('is written when enough has changed, without being asked', async () => {
    const other = join(directory, 'other');
    const l2 = await openTestStore(other, { capacityBytes: 64 * 1024 * 1024 });
    for (let pageId = 0; pageId < 5000; pageId += 1) await l2.put(testPage({ path: 'small', pageId, len: 500 }));
    await l2.store.maintenance.upkeep();
    await l2.store.close();
    expect(existsSync(join(other, 'index.bin'))).toBe(true);
    copyFileSync(join(other, 'index.sqlite'), join(directory, 'index.sqlite'));
    expect(await query("SELECT count(*) FROM cached WHERE path = 'small'")).toEqual([[5000]]);
  });
});
