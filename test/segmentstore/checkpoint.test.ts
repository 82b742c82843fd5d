// The two indexes on disk are hints: missing, stale, from the future, of another version, damaged or cut, they cost time
// and nothing else.
import { describe, expect, test } from 'vitest';
import { CrashDisk } from '../support/crash-disk.ts';
import { openTestStore, testPage, type TestPage } from '../support/segment-store.ts';

const CACHE = '/cache';
const INDEXES = ['index.bin', 'index.sqlite'] as const;
const PAGES = [300, 41, 20_000, 77, 512].map((len, pageId) => testPage({ pageId, len }));

async function write(disk: CrashDisk, pages: readonly TestPage[]): Promise<void> {
  const store = await openTestStore(CACHE, { disk });
  for (const page of pages) await store.put(page);
  await store.store.close();
}

async function checkpoint(disk: CrashDisk): Promise<void> {
  const store = await openTestStore(CACHE, { disk });
  await store.store.maintenance.clean();
  await store.store.close();
}

/** Two segments, both in the checkpoint. */
async function prepared(): Promise<CrashDisk> {
  const disk = new CrashDisk();
  await disk.makeDirectory(CACHE);
  await write(disk, PAGES.slice(0, 3));
  await write(disk, PAGES.slice(3));
  await checkpoint(disk);
  return disk;
}

/** `get` fails on a wrong byte. */
async function expectHits(disk: CrashDisk, pages: readonly TestPage[], why: string): Promise<void> {
  const store = await openTestStore(CACHE, { disk });
  for (const page of pages) {
    if (!(await store.get(page))) throw new Error(`page ${page.page.pageId} is a miss: ${why}`);
  }
  await store.store.close();
  expect(disk.openFiles).toBe(0);
}

describe('the checkpoint', () => {
  test('is there, and makes an open read one file instead of the segments', async () => {
    const disk = await prepared();
    expect(await disk.list(CACHE)).toEqual(expect.arrayContaining([...INDEXES]));
    await expectHits(disk, PAGES, 'nothing is wrong');
  });

  test.each(INDEXES)('%s with any byte flipped costs no page', async (name) => {
    const disk = await prepared();
    const path = `${CACHE}/${name}`;
    const sound = disk.bytesOf(path);
    // The head and the table of segments byte by byte; of the rest, mostly empty slots and pages, a part.
    for (let at = 0; at < sound.length; at += at < 200 ? 1 : 37) {
      const bytes = Buffer.from(sound);
      bytes[at]! ^= 1 << (at % 8);
      disk.plant(path, bytes);
      await expectHits(disk, PAGES, `byte ${at} of ${name} was flipped`);
    }
  });

  test.each(INDEXES)('%s cut at any length costs no page', async (name) => {
    const disk = await prepared();
    const path = `${CACHE}/${name}`;
    const sound = disk.bytesOf(path);
    for (let length = 0; length < sound.length; length += length < 200 ? 1 : 97) {
      disk.plant(path, sound.subarray(0, length));
      await expectHits(disk, PAGES, `${name} was cut at ${length}`);
    }
  });

  test('missing, empty, foreign or a directory costs no page, and the next one replaces what can be replaced', async () => {
    for (const name of INDEXES) {
      for (const bytes of [undefined, Buffer.alloc(0), Buffer.from('SKFSINDX'), Buffer.alloc(50_000, 0xff)]) {
        const disk = await prepared();
        const path = `${CACHE}/${name}`;
        if (bytes) disk.plant(path, bytes);
        else await disk.remove(path);
        await expectHits(disk, PAGES, `${name} is foreign`);
        await checkpoint(disk);
        expect(disk.bytesOf(path).length).toBeGreaterThan(1000);
        await expectHits(disk, PAGES, `${name} was written again`);
      }
      const disk = await prepared();
      await disk.remove(`${CACHE}/${name}`);
      await disk.makeDirectory(`${CACHE}/${name}`);
      await expectHits(disk, PAGES, `${name} is a directory`);
    }
  });

  test('that is older than the segments finds what came later', async () => {
    const disk = await prepared();
    const old = disk.bytesOf(`${CACHE}/index.bin`);
    const later = [6, 7].map((pageId) => testPage({ pageId }));
    await write(disk, later);
    await expectHits(disk, [...PAGES, ...later], 'written after the checkpoint');
    await checkpoint(disk);
    disk.plant(`${CACHE}/index.bin`, old);
    await expectHits(disk, [...PAGES, ...later], 'an old checkpoint came back');
  });

  test('that covers more than there is serves no wrong byte and loses only what is gone', async () => {
    const disk = await prepared();
    const names = await disk.list(`${CACHE}/segments`);
    for (const name of names) {
      const path = `${CACHE}/segments/${name}`;
      const sound = disk.bytesOf(path);
      for (let length = 0; length < sound.length; length += 53) {
        disk.plant(path, sound.subarray(0, length));
        const store = await openTestStore(CACHE, { disk });
        for (const page of PAGES) if (!(await store.get(page))) await store.put(page);
        for (const page of PAGES) expect(await store.get(page)).toBeDefined();
        await store.store.close();
        for (const other of await disk.list(`${CACHE}/segments`)) {
          if (!names.includes(other)) await disk.remove(`${CACHE}/segments/${other}`);
        }
      }
      disk.plant(path, sound);
    }
    await expectHits(disk, PAGES, 'the segments are whole again');
  });

  test('of a cache that was emptied serves nothing and takes pages again', async () => {
    const disk = await prepared();
    for (const name of await disk.list(`${CACHE}/segments`)) await disk.remove(`${CACHE}/segments/${name}`);
    const store = await openTestStore(CACHE, { disk });
    for (const page of PAGES) expect(await store.get(page)).toBeUndefined();
    for (const page of PAGES) await store.put(page);
    for (const page of PAGES) expect(await store.get(page)).toBeDefined();
    await store.store.close();
  });

  test('of another cache changes nothing', async () => {
    const disk = await prepared();
    const other = await prepared();
    disk.plant(`${CACHE}/index.bin`, other.bytesOf(`${CACHE}/index.bin`));
    await expectHits(disk, PAGES, 'the checkpoint is another cache’s');
  });
});
