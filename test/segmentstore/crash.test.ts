// A crash after every operation on the disk: of each history, every state that a kill or a power loss can leave behind
// is opened again. A page is right or absent, never wrong; what was acknowledged as durable is there.
import { describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../src/lib/base/clock.ts';
import { KIB } from '../../src/lib/base/units.ts';
import { checkSegmentStore } from '../../src/lib/cache/check.ts';
import { CrashDisk } from '../support/crash-disk.ts';
import type { CrashKind } from '../support/crash-remains.ts';
import { openTestStore, testPage, type TestPage, type TestStore } from '../support/segment-store.ts';
import { TestProcesses } from '../support/test-processes.ts';

const CACHE = '/cache';
/** Segments roll at a 32nd of it: after three or four of the pages below. */
const CAPACITY_BYTES = 32 * 96 * KIB;
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

interface Story {
  /** Of the cache. */
  readonly capacityBytes?: number;
  /** What is on disk, durable, before the history begins. Its pages are promised. */
  readonly prepare?: (disk: CrashDisk) => Promise<readonly TestPage[]>;
  readonly history: (scene: Scene) => Promise<void>;
  /** Pages that the history may drop: the promise does not hold for them. */
  readonly mayGo?: readonly TestPage[];
}

const PAGES = pagesOf('a.bin', 12);

function pagesOf(path: string, count: number): TestPage[] {
  return Array.from({ length: count }, (_, pageId) => testPage({ path, pageId, len: 20_000 + 1_731 * pageId }));
}

async function newDisk(): Promise<CrashDisk> {
  const disk = new CrashDisk();
  await disk.makeDirectory(CACHE);
  disk.settle();
  return disk;
}

const processes = new TestProcesses();

/** Later at every look: the order in which segments were made is always known. */
function tickingClock(): Clock {
  let ticks = 1_700_000_000_000;
  return { ...systemClock, nowMs: () => (ticks += 1) };
}

/** A new process on the disk; the ones before it are dead. */
function open(disk: CrashDisk, capacityBytes = CAPACITY_BYTES): Promise<TestStore> {
  processes.endAll();
  return openTestStore(CACHE, {
    disk,
    capacityBytes,
    clock: tickingClock(),
    processes: processes.begin(),
    policyOf: () => 'lru',
  });
}

async function sealedSegments(disk: CrashDisk): Promise<number> {
  const names = await disk.list(`${CACHE}/segments`).catch(() => []);
  return names.filter((name) => name.endsWith('.seg')).length;
}

async function play(disk: CrashDisk, story: Story, prepared: readonly TestPage[]): Promise<Promised> {
  const written = new Set(prepared);
  const durable = new Set(prepared);
  const store = await open(disk, story.capacityBytes);
  let sealed = await sealedSegments(disk);
  const put = async (page: TestPage): Promise<void> => {
    const begun = new Set(written);
    await store.put(page);
    if (disk.dead) return;
    // A segment that rolled is durable, and so is all that was put before the page that began the next one.
    const now = await sealedSegments(disk);
    if (now > sealed) for (const before of begun) durable.add(before);
    sealed = now;
    written.add(page);
  };
  await story.history({ disk, store, put, written, durable }).catch((error: unknown) => {
    if (!disk.dead) throw error;
  });
  await store.store.close();
  expect(store.memory.inUseBytes).toBe(0);
  expect(disk.openFiles).toBe(0);
  return { written, durable };
}

/** Opens what the crash left: right or absent, the promised there, and the cache works on. */
async function expectSound(disk: CrashDisk, pages: Iterable<TestPage>, owed: Set<TestPage>): Promise<void> {
  const after = await open(disk, 4 * CAPACITY_BYTES);
  const lost: string[] = [];
  for (const page of pages) {
    // `get` itself fails on a wrong byte.
    const bytes = await after.get(page);
    if (!bytes && owed.has(page)) lost.push(`${page.page.path}/${page.page.pageId}`);
    if (!bytes) await after.put(page);
  }
  if (lost.length > 0) throw new Error(`lost: ${lost.join(', ')}`);
  for (const page of pages) expect(await after.get(page)).toBeDefined();
  await after.store.close();
  expect(disk.openFiles).toBe(0);
}

interface Seen {
  crashes: number;
  inWrites: number;
  owedDurable: number;
}

/** Dies after each operation of the history in turn. */
async function crashEverywhere(story: Story): Promise<Seen> {
  const start = await newDisk();
  const prepared = (await story.prepare?.(start)) ?? [];
  start.settle();
  const whole = start.clone();
  const before = whole.operations;
  const { written } = await play(whole, story, prepared);
  const operations = whole.operations - before;
  const seen: Seen = { crashes: 0, inWrites: 0, owedDurable: 0 };
  for (let n = 0; n < operations; n += 1) {
    const disk = start.clone();
    disk.dieAfter(n);
    const promised = await play(disk, story, prepared);
    for (const page of story.mayGo ?? []) {
      promised.written.delete(page);
      promised.durable.delete(page);
    }
    expect(disk.dead).toBe(true);
    seen.crashes += 1;
    if (disk.diedInWrite) seen.inWrites += 1;
    seen.owedDurable += promised.durable.size;
    for (let seed = 0; seed < SEEDS_A_CRASH; seed += 1) {
      const kind: CrashKind = seed % 3 === 0 ? 'kill' : 'power';
      const owed = kind === 'kill' ? promised.written : promised.durable;
      const reopened = disk.reopen(n * SEEDS_A_CRASH + seed, kind);
      await expectSound(reopened, written, owed).catch((error: unknown) => {
        throw new Error(`${kind} after operation ${n}, seed ${n * SEEDS_A_CRASH + seed}`, { cause: error });
      });
    }
  }
  return seen;
}

/** Pages in segments of few pages each: every life but the last is that of another process. */
async function inManyLives(disk: CrashDisk, lives: readonly (readonly TestPage[])[]): Promise<void> {
  for (const pages of lives) {
    const store = await open(disk);
    for (const page of pages) await store.put(page);
    await store.store.close();
  }
}

async function segmentWith(disk: CrashDisk, page: TestPage): Promise<string> {
  const names = await disk.list(`${CACHE}/segments`);
  return names.find((name) => disk.bytesOf(`${CACHE}/segments/${name}`).includes(page.bytes.subarray(0, 64)))!;
}

describe('after a crash at any operation', () => {
  test('of put, roll and seal, every page is right or absent, and what was promised is there', async () => {
    const seen = await crashEverywhere({
      history: async ({ put }) => {
        for (const page of PAGES) await put(page);
      },
    });
    expect(seen.crashes).toBeGreaterThan(20);
    expect(seen.inWrites).toBeGreaterThan(PAGES.length);
    expect(seen.owedDurable).toBeGreaterThan(20);
  });

  test('of a process that appends to what an earlier one left', async () => {
    const seen = await crashEverywhere({
      prepare: async (disk) => {
        await inManyLives(disk, [PAGES.slice(0, 5)]);
        return PAGES.slice(0, 5);
      },
      history: async ({ put, store }) => {
        for (const page of PAGES.slice(3)) await put(page);
        for (const page of PAGES) await store.get(page);
      },
    });
    expect(seen.crashes).toBeGreaterThan(10);
  });

  test('of a merge of short segments, no page that was durable before is lost', async () => {
    let rewritten = 0;
    const seen = await crashEverywhere({
      prepare: async (disk) => {
        await inManyLives(
          disk,
          PAGES.slice(0, 10).map((page) => [page]),
        );
        return PAGES.slice(0, 10);
      },
      capacityBytes: 4 * CAPACITY_BYTES,
      history: async ({ store }) => {
        rewritten = (await store.store.maintenance.clean())?.rewrittenBytes ?? 0;
      },
    });
    expect(rewritten).toBeLessThanOrEqual(10 * 40_000);
    expect(seen.crashes).toBeGreaterThan(20);
    expect(seen.inWrites).toBeGreaterThan(9);
  });

  test('of a compaction of mostly dead segments, no live page that was durable before is lost', async () => {
    const dead = pagesOf('dead.bin', 8);
    const live = PAGES.slice(0, 4);
    const seen = await crashEverywhere({
      prepare: async (disk) => {
        await inManyLives(disk, [
          [dead[0]!, live[0]!, dead[1]!],
          [dead[2]!, live[1]!, dead[3]!],
          [dead[4]!, dead[5]!, live[2]!],
          [live[3]!, dead[6]!, dead[7]!],
        ]);
        return [...live, ...dead];
      },
      history: async ({ store }) => {
        store.store.maintenance.knowDead((file) => file.path === 'dead.bin');
        await store.store.maintenance.clean();
      },
      mayGo: dead,
    });
    expect(seen.crashes).toBeGreaterThan(12);
  });

  test('of a compaction that drops one of two copies, a page that was durable is not lost', async () => {
    const both = PAGES.slice(0, 6);
    await crashEverywhere({
      prepare: async (disk) => {
        await inManyLives(disk, [both]);
        return both;
      },
      history: async ({ disk, store }) => {
        // Another process that had not seen them wrote the same pages, and synced nothing.
        const twin = await openTestStore('/twin', { disk, clock: tickingClock() });
        for (const page of both) await twin.put(page);
        await twin.store.close();
        const names = await disk.list('/twin/segments');
        for (const name of names) await disk.rename(`/twin/segments/${name}`, `${CACHE}/segments/${name}`);
        await store.store.maintenance.clean();
      },
    });
  });

  test('of an eviction, what was to stay stays', async () => {
    const page = (path: string, pageId: number): TestPage => testPage({ path, pageId, len: 8000 });
    const old = Array.from({ length: 18 }, (_, pageId) => page('old.bin', pageId));
    const fresh = Array.from({ length: 8 }, (_, pageId) => page('fresh.bin', pageId));
    const capacityBytes = 160 * KIB;
    const story: Story = {
      capacityBytes,
      prepare: async (disk) => {
        const store = await open(disk, capacityBytes);
        for (const page of old) await store.put(page);
        await store.store.close();
        return old;
      },
      history: async ({ put }) => {
        for (const page of fresh) await put(page);
      },
    };
    // What a life without a crash keeps.
    const healthy = await newDisk();
    await story.prepare!(healthy);
    const store = await open(healthy, capacityBytes);
    for (const page of fresh) await store.put(page);
    const gone: TestPage[] = [];
    for (const page of [...old, ...fresh]) if (!(await store.get(page))) gone.push(page);
    const evicted = store.metrics.get('seekfs_l2_evicted_bytes_total');
    await store.store.close();
    expect(evicted).toBeGreaterThan(0);
    expect(gone.length).toBeLessThan(12);
    const seen = await crashEverywhere({ ...story, mayGo: gone });
    expect(seen.crashes).toBeGreaterThan(20);
  });

  test('of a repair, no page that was not damaged is lost', async () => {
    const hit = PAGES[2]!;
    const seen = await crashEverywhere({
      prepare: async (disk) => {
        await inManyLives(disk, [PAGES.slice(0, 3), PAGES.slice(3, 6)]);
        const path = `${CACHE}/segments/${await segmentWith(disk, hit)}`;
        const bytes = disk.bytesOf(path);
        bytes[bytes.indexOf(hit.bytes.subarray(0, 64)) + 70]! ^= 1;
        disk.plant(path, bytes);
        return PAGES.slice(0, 6);
      },
      history: async ({ disk, store }) => {
        const { findings } = await checkSegmentStore({ disk, directoryPath: CACHE, deep: true });
        expect(findings.map(({ kind }) => kind)).toEqual(['record_payload']);
        await store.store.maintenance.repair(findings);
      },
      mayGo: [hit],
    });
    expect(seen.inWrites).toBeGreaterThan(2);
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
      next.dieAfter(seed % 11);
      const again = await open(next);
      await again.store.maintenance.clean().catch(() => undefined);
      for (const page of PAGES) if (!(await again.get(page))) await again.put(page);
      await again.store.close();
    }
    await expectSound(next.reopen(99), PAGES, new Set());
  });
});
