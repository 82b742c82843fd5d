// A crash after every operation on the disk: of each history, every state that a kill or a power loss can leave behind
// is opened again. A page is right or absent, never wrong; what was acknowledged as durable is there.
import { describe, expect, test } from 'vitest';
import { CrashDisk, type CrashKind } from '../support/crash-disk.ts';
import { openTestStore, testPage, type TestPage, type TestStore } from '../support/segment-store.ts';

const CACHE = '/cache';
/** Segments roll at a 32nd of it: after three or four of the pages below. */
const CAPACITY_BYTES = 32 * 96 * 1024;
const SEEDS_A_CRASH = 6;

/** What a history had been promised when its disk died. */
interface Promised {
  /** Put returned: a kill must not lose it. */
  readonly written: Set<TestPage>;
  /** Synced: a power loss must not lose it either. */
  readonly durable: Set<TestPage>;
}

interface Scene extends Promised {
  readonly disk: CrashDisk;
  readonly store: TestStore;
  readonly put: (page: TestPage) => Promise<void>;
}

const PAGES = Array.from({ length: 12 }, (_, pageId) => testPage({ pageId, len: 20_000 + 1_731 * pageId }));

async function newDisk(): Promise<CrashDisk> {
  const disk = new CrashDisk();
  await disk.makeDirectory(CACHE);
  disk.settle();
  return disk;
}

function open(disk: CrashDisk): Promise<TestStore> {
  return openTestStore(CACHE, { disk, capacityBytes: CAPACITY_BYTES });
}

async function sealedSegments(disk: CrashDisk): Promise<number> {
  const names = await disk.list(`${CACHE}/segments`).catch(() => []);
  return names.filter((name) => name.endsWith('.seg')).length;
}

async function play(disk: CrashDisk, history: (scene: Scene) => Promise<void>): Promise<Promised> {
  const written = new Set<TestPage>();
  const durable = new Set<TestPage>();
  const store = await open(disk);
  let sealed = await sealedSegments(disk);
  const put = async (page: TestPage): Promise<void> => {
    await store.put(page);
    if (disk.dead) return;
    // A segment that rolled is durable, and so is all that was put before the page that began the next one.
    const now = await sealedSegments(disk);
    if (now > sealed) for (const before of written) durable.add(before);
    sealed = now;
    written.add(page);
  };
  await history({ disk, store, put, written, durable });
  await store.store.close();
  expect(store.memory.inUseBytes).toBe(0);
  expect(disk.openFiles).toBe(0);
  return { written, durable };
}

/** Opens what the crash left: right or absent, the promised there, and the cache works on. */
async function expectSound(crashed: CrashDisk, promised: Promised, kind: CrashKind, seed: number): Promise<void> {
  const disk = crashed.reopen(seed, kind);
  const after = await open(disk);
  const owed = kind === 'kill' ? promised.written : promised.durable;
  for (const page of PAGES) {
    // `get` itself fails on a wrong byte.
    const bytes = await after.get(page);
    if (!bytes && owed.has(page)) throw new Error(`page ${page.page.pageId} was lost in a ${kind} (seed ${seed})`);
    if (!bytes) await after.put(page);
  }
  for (const page of PAGES) expect(await after.get(page)).toBeDefined();
  await after.store.close();
  expect(disk.openFiles).toBe(0);
}

/** Dies after each operation of the history in turn. */
async function crashEverywhere(
  prepare: (disk: CrashDisk) => Promise<void>,
  history: (scene: Scene) => Promise<void>,
): Promise<{ crashes: number; inWrites: number; owedDurable: number }> {
  const start = await newDisk();
  await prepare(start);
  start.settle();
  const whole = start.clone();
  const before = whole.operations;
  await play(whole, history);
  const operations = whole.operations - before;
  const seen = { crashes: 0, inWrites: 0, owedDurable: 0 };
  for (let n = 0; n < operations; n += 1) {
    const disk = start.clone();
    disk.dieAfter(n);
    const promised = await play(disk, history);
    expect(disk.dead).toBe(true);
    seen.crashes += 1;
    if (disk.diedInWrite) seen.inWrites += 1;
    seen.owedDurable += promised.durable.size;
    for (let seed = 0; seed < SEEDS_A_CRASH; seed += 1) {
      await expectSound(disk, promised, seed % 3 === 0 ? 'kill' : 'power', n * SEEDS_A_CRASH + seed);
    }
  }
  return seen;
}

describe('after a crash at any operation', () => {
  test('of put, roll and seal, every page is right or absent, and what was promised is there', async () => {
    const seen = await crashEverywhere(
      async () => undefined,
      async ({ put }) => {
        for (const page of PAGES) await put(page);
      },
    );
    expect(seen.crashes).toBeGreaterThan(20);
    expect(seen.inWrites).toBeGreaterThan(PAGES.length);
    expect(seen.owedDurable).toBeGreaterThan(20);
  });

  test('of a process that appends to what an earlier one left', async () => {
    const seen = await crashEverywhere(
      async (disk) => {
        const first = await open(disk);
        for (const page of PAGES.slice(0, 5)) await first.put(page);
        await first.store.close();
      },
      async ({ put, store }) => {
        for (const page of PAGES.slice(3)) await put(page);
        for (const page of PAGES) await store.get(page);
      },
    );
    expect(seen.crashes).toBeGreaterThan(10);
  });

  test('a crash in the recovery from a crash changes nothing', async () => {
    const disk = await newDisk();
    const store = await open(disk);
    disk.dieAfter(9);
    for (const page of PAGES) await store.put(page);
    await store.store.close();
    let next = disk;
    for (let seed = 0; seed < 40; seed += 1) {
      next = next.reopen(seed, seed % 2 === 0 ? 'kill' : 'power');
      next.dieAfter(seed % 7);
      const again = await open(next);
      for (const page of PAGES) if (!(await again.get(page))) await again.put(page);
      await again.store.close();
    }
    const last = await open(next.reopen(99));
    for (const page of PAGES) await last.get(page);
    await last.store.close();
  });
});
