import { fork, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/lib/base/log.ts';
import { MIB } from '../../../src/lib/base/units.ts';
import { Claims, type ClaimAnswer } from '../../../src/lib/cache/claims.ts';
import { createPageCache } from '../../../src/lib/cache/layered-cache.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { DirectoryObjectStore } from '../../../src/lib/objectstore/directory.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import { createReader } from '../../../src/lib/read/open-reader.ts';
import type { Extent } from '../../../src/lib/read/reader.ts';
import { compileForNode } from '../../support/compiled.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { manualClock } from '../../support/manual-clock.ts';
import type { ReaderNews, ReadOrder } from '../../support/programs/shared-cache-reader.ts';
import { openTestStore } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { WatchedStore } from '../../support/watched-store.ts';

const bytes = someBytes(4 * MIB);
const EXTENTS = 160;
const many = someBytes(EXTENTS * GRANULE_BYTES);
let program: string;

beforeAll(async () => {
  [program] = (await compileForNode(['test/support/programs/shared-cache-reader.ts'])) as [string];
});

class ReaderProcess {
  readonly child: ChildProcess;
  readonly #news: ReaderNews[] = [];
  #wake: (() => void) | undefined;

  constructor(directory: string, silenceMsMax: number) {
    this.child = fork(program, [join(directory, 'store'), join(directory, 'cache'), String(silenceMsMax)]);
    this.child.on('message', (news: ReaderNews) => {
      this.#news.push(news);
      this.#wake?.();
    });
  }

  async next<K extends ReaderNews['kind']>(kind: K): Promise<Extract<ReaderNews, { kind: K }>> {
    for (;;) {
      const found = this.#news.find((news) => news.kind === kind);
      if (found) return found as Extract<ReaderNews, { kind: K }>;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  read(order: ReadOrder): void {
    this.child.send(order);
  }
}

async function processes(count: number, silenceMsMax = 10_000): Promise<{ all: ReaderProcess[]; directory: string }> {
  const directory = await temporaryDirectory('seekfs-claims');
  await mkdir(join(directory, 'store'));
  const store = new DirectoryObjectStore({ rootPath: join(directory, 'store') });
  await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 2 * MIB }]);
  const all = Array.from({ length: count }, () => new ReaderProcess(directory, silenceMsMax));
  await Promise.all(all.map((one) => one.next('ready')));
  return { all, directory };
}

function sha256({ off, len }: Extent): string {
  return createHash('sha256')
    .update(bytes.subarray(off, off + len))
    .digest('hex');
}

async function results(all: readonly ReaderProcess[], extent: Extent): Promise<{ gets: number }> {
  const news = await Promise.all(all.map((one) => one.next('read')));
  for (const one of news) expect(one.sha256).toBe(sha256(extent));
  return { gets: news.reduce((sum, one) => sum + one.gets, 0) };
}

const PAGE: Extent = { path: 'a', off: 2 * MIB, len: 2 * MIB };
const GRANULE: Extent = { path: 'a', off: 100_000, len: 4096 };

describe('8 processes that miss the same bytes', () => {
  test.each([
    ['page', PAGE],
    ['granule', GRANULE],
  ])('send one GET (a %s), and leave no claim behind', async (_name, extent) => {
    const { all, directory } = await processes(8);
    for (const one of all) one.read({ extent, hold: false, latencyMs: 300 });
    expect(await results(all, extent)).toEqual({ gets: 1 });
    await Promise.all(all.map(exit));
    expect(await readdir(join(directory, 'cache', 'claims'))).toEqual(['owners']);
    expect(await readdir(join(directory, 'cache', 'claims', 'owners'))).toEqual([]);
  });

  test('send one more when the process that fetches is killed', async () => {
    const { all } = await processes(8);
    const [first, ...others] = all as [ReaderProcess, ...ReaderProcess[]];
    first.read({ extent: PAGE, hold: true, latencyMs: 0 });
    await first.next('getting');
    for (const one of others) one.read({ extent: PAGE, hold: false, latencyMs: 50 });
    first.child.kill('SIGKILL');
    expect(await results(others, PAGE)).toEqual({ gets: 1 });
  });

  test('wait a bounded time for one that is stopped', async () => {
    const silenceMsMax = 3000;
    const { all } = await processes(3, silenceMsMax);
    const [first, ...others] = all as [ReaderProcess, ...ReaderProcess[]];
    first.read({ extent: PAGE, hold: true, latencyMs: 0 });
    await first.next('getting');
    first.child.kill('SIGSTOP');
    const begunMs = performance.now();
    for (const one of others) one.read({ extent: PAGE, hold: false, latencyMs: 0 });
    expect(await results(others, PAGE)).toEqual({ gets: 1 });
    expect(performance.now() - begunMs).toBeGreaterThan(silenceMsMax - 50);
    first.child.kill('SIGKILL');
  });
});

test.each([
  ['page', PAGE],
  ['granule', GRANULE],
])('who gets a claim (of a %s) after another one fetched and left looks at the cache again', async (_name, extent) => {
  const directory = await temporaryDirectory('seekfs-claims');
  const store = new WatchedStore(new MemoryObjectStore());
  const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 2 * MIB }]);
  const entry = await version.lookup('a');
  let beforeTake: (() => Promise<void>) | undefined;
  class LateClaims extends Claims {
    override async take(...args: Parameters<Claims['take']>): Promise<ClaimAnswer> {
      const before = beforeTake;
      beforeTake = undefined;
      await before?.();
      return super.take(...args);
    }
  }
  const open = async (claims: Claims): Promise<{ read: () => Promise<Buffer>; close: () => Promise<void> }> => {
    // Its time stands still: what was listed once stays new.
    const { store: l2, memory, metrics } = await openTestStore(join(directory, 'cache'), { clock: manualClock() });
    const cache = createPageCache({ l2, metrics });
    const limits = { rangeCoalesceMaxBytes: 8 * MIB, requireChecksums: false };
    const given = { store: () => Promise.resolve(store), log: silentLogger };
    const reader = createReader({ ...given, cache, claims, memory, metrics, limits });
    return {
      read: async () => {
        const got = await collect(reader.stream(version, entry, extent));
        await cache.drain();
        return got;
      },
      close: async () => {
        await reader.close();
        await claims.close();
        await cache.close();
        expect(memory.inUseBytes).toBe(0);
      },
    };
  };
  const options = { disk: nodeDisk, directoryPath: join(directory, 'cache', 'claims'), log: silentLogger };
  const late = await open(new LateClaims(options));
  const quick = await open(new Claims(options));
  // Between the look that missed the bytes and the claim.
  beforeTake = async () => {
    await quick.read();
    await quick.close();
  };
  expect((await late.read()).equals(bytes.subarray(extent.off, extent.off + extent.len))).toBe(true);
  expect(store.gets.length).toBe(1);
  await late.close();
});

test('the first GETs of a long readv go while the claims of the last are not yet taken', async () => {
  const directory = await temporaryDirectory('seekfs-claims');
  const store = new WatchedStore(new MemoryObjectStore());
  const version = await publishBytes(store, [{ path: 'a', bytes: many, pageSizeBytes: 2 * MIB }]);
  let onGet!: () => void;
  const getting = new Promise<void>((resolve) => (onGet = resolve));
  store.beforeGet = () => {
    onGet();
    return Promise.resolve();
  };
  let taken = 0;
  class HeldClaims extends Claims {
    override async take(...args: Parameters<Claims['take']>): Promise<ClaimAnswer> {
      taken += 1;
      if (taken > EXTENTS / 2) await getting;
      return super.take(...args);
    }
  }
  const claims = new HeldClaims({ disk: nodeDisk, directoryPath: join(directory, 'claims'), log: silentLogger });
  const { store: l2, memory, metrics } = await openTestStore(join(directory, 'cache'));
  const cache = createPageCache({ l2, metrics });
  const limits = { rangeCoalesceMaxBytes: GRANULE_BYTES, requireChecksums: false };
  const given = { store: () => Promise.resolve(store), log: silentLogger };
  const reader = createReader({ ...given, cache, claims, memory, metrics, limits });
  const extents = Array.from({ length: EXTENTS }, (_, index) => ({ path: 'a', off: index * GRANULE_BYTES, len: 4096 }));
  const got = await collect(reader.readv(version, extents));
  expect(got.equals(Buffer.concat(extents.map(({ off, len }) => many.subarray(off, off + len))))).toBe(true);
  expect(store.gets.length).toBe(EXTENTS);
  expect(taken).toBe(EXTENTS);
  await reader.close();
  await cache.drain();
  await claims.close();
  await cache.close();
});

async function exit({ child }: ReaderProcess): Promise<void> {
  if (child.exitCode === null) await once(child, 'exit');
}
