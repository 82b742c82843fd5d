// A cache disk that fails: at each operation, in every way that a kernel knows, once or for good. Reads go on through
// the store with the right bytes, there is one warning and not a thousand, and the cache is back when the disk is.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MemoryGovernor } from '../../src/lib/base/memory.ts';
import { Metrics } from '../../src/lib/base/metrics.ts';
import { seededRandom } from '../../src/lib/base/random.ts';
import { KIB, MIB } from '../../src/lib/base/units.ts';
import { createPageCache } from '../../src/lib/cache/layered-cache.ts';
import { openSegmentStore } from '../../src/lib/cache/open-segment-store.ts';
import type { PageCache } from '../../src/lib/cache/page-cache.ts';
import type { PinnedVersion } from '../../src/lib/manifest/types.ts';
import { MemoryObjectStore } from '../support/memory-object-store.ts';
import { createReader } from '../../src/lib/read/open-reader.ts';
import type { Reader } from '../../src/lib/read/reader.ts';
import { CrashDisk } from '../support/crash-disk.ts';
import { collect, publishBytes, someBytes } from '../support/data-set.ts';
import { DISK_OPERATIONS, FaultDisk, type DiskOperation, type Fault, type FaultCode } from '../support/fault-disk.ts';
import { manualClock, type ManualClock } from '../support/manual-clock.ts';
import { RecordingLogger } from '../support/segment-store.ts';
import { WatchedStore } from '../support/watched-store.ts';

const CODES: readonly FaultCode[] = ['ENOSPC', 'EIO', 'EMFILE', 'EROFS', 'EACCES'];
const BYTES = someBytes(600_000);
/** Segments roll after three pages. */
const CAPACITY_BYTES = 32 * 250 * KIB;
/** Longer than the cache ever stays away from a disk that failed. */
const AFTER_EVERY_PAUSE_MS = 60_000;

class World {
  readonly inner: CrashDisk;
  readonly disk: FaultDisk;
  readonly clock: ManualClock = manualClock();
  readonly logger = new RecordingLogger();
  readonly metrics = new Metrics();
  readonly memory = new MemoryGovernor({ limitBytes: 32 * MIB });
  readonly store = new WatchedStore(new MemoryObjectStore());
  /** Names of segments, which decide which of them a test damages. */
  readonly #random = seededRandom(3);
  version!: PinnedVersion;
  cache!: PageCache;
  reader!: Reader;

  constructor(inner = new CrashDisk()) {
    this.inner = inner;
    this.disk = new FaultDisk(inner);
  }

  async prepare(): Promise<void> {
    await this.inner.makeDirectory('/cache');
    this.version = await publishBytes(this.store, [{ path: 'a', bytes: BYTES, pageSizeBytes: 64 * KIB }]);
  }

  async open(): Promise<void> {
    const { disk, memory, metrics, clock } = this;
    const shared = { memory, metrics, log: this.logger };
    const l2 = await openSegmentStore({
      ...shared,
      disk,
      clock,
      directoryPath: '/cache',
      capacityBytes: CAPACITY_BYTES,
      freeReserveBytes: 0,
      random: this.#random,
    });
    this.cache = createPageCache({ l2, metrics });
    this.reader = createReader({
      ...shared,
      store: () => Promise.resolve(this.store),
      cache: this.cache,
      limits: { rangeCoalesceMaxBytes: 256 * KIB, requireChecksums: true },
    });
  }

  /** Reads everything, and a few ranges; the number of GETs that it took. */
  async readAll(): Promise<number> {
    const before = this.store.gets.length;
    const entry = await this.version.lookup('a');
    const ranges = [
      { off: 0, len: BYTES.length },
      { off: 70_000, len: 5 },
      { off: 300_000, len: 100_000 },
    ];
    for (const range of ranges) {
      const bytes = await collect(this.reader.stream(this.version, entry, range));
      if (!bytes.equals(BYTES.subarray(range.off, range.off + range.len))) throw new Error('wrong bytes were served');
      await this.cache.drain();
      this.clock.advance(1000);
    }
    return this.store.gets.length - before;
  }

  async close(): Promise<void> {
    await this.reader.close();
    await this.cache.close();
  }

  /** What a process does with the cache: two passes, and another process two more. */
  async live(): Promise<void> {
    for (let life = 0; life < 2; life += 1) {
      await this.open();
      await this.readAll();
      await this.readAll();
      await this.close();
    }
  }
}

/** What `rm -rf` does, or an unmounted disk. */
async function removeTree(disk: CrashDisk, path: string): Promise<void> {
  for (const name of await disk.list(path)) {
    const child = `${path}/${name}`;
    if ((await disk.stat(child)).kind === 'directory') await removeTree(disk, child);
    else await disk.remove(child);
  }
  await disk.removeDirectory(path);
}

let world: World;

beforeEach(() => {
  world = new World();
});

afterEach(() => {
  expect(world.memory.inUseBytes, 'all memory came back').toBe(0);
  expect(world.inner.openFiles, 'all files were closed').toBe(0);
  expect(world.clock.sleeping, 'no timer is left').toBe(0);
});

async function operationsOfALife(): Promise<number> {
  const healthy = new World();
  await healthy.prepare();
  await healthy.live();
  return DISK_OPERATIONS.reduce((sum, operation) => sum + healthy.disk.count(operation), 0);
}

/** Plays a life under the fault, then heals the disk and expects the cache to serve everything again. */
async function survive(fault: Fault): Promise<void> {
  world = new World();
  await world.prepare();
  world.disk.fail(fault);
  await world.live();
  const warnings = world.logger.lines.filter((line) => line.startsWith('warn'));
  // Two lives, in each of which writing, reading and listing may fail.
  expect(warnings.length, warnings.join('\n')).toBeLessThanOrEqual(6);
  await world.open();
  await world.readAll();
  world.disk.heal();
  world.clock.advance(AFTER_EVERY_PAUSE_MS);
  await world.readAll();
  expect(await world.readAll(), 'GETs after the disk was back').toBe(0);
  await world.close();
  expect(world.memory.inUseBytes).toBe(0);
  expect(world.inner.openFiles).toBe(0);
}

describe('a cache disk that fails', () => {
  test('costs a healthy life no GET twice', async () => {
    await world.prepare();
    await world.open();
    expect(await world.readAll()).toBe(3);
    expect(await world.readAll()).toBe(0);
    await world.close();
    await world.open();
    expect(await world.readAll()).toBe(0);
    await world.close();
    expect(world.logger.lines).toEqual([]);
  });

  const used = DISK_OPERATIONS.filter((operation) => operation !== 'removeDirectory' && operation !== 'link');

  test.each(CODES)(
    'in each kind of operation with %s is read through, and used again when it is back',
    async (code) => {
      const fired = new Set<DiskOperation>();
      for (const operation of used) {
        await survive({ code, operations: [operation] });
        if (world.disk.fired > 0) fired.add(operation);
      }
      for (const operation of ['create', 'open', 'read', 'write', 'list', 'rename', 'sync', 'close'] as const) {
        expect(fired, `${operation} was never made to fail`).toContain(operation);
      }
    },
  );

  test('once, at any single operation', async () => {
    const operations = await operationsOfALife();
    let fired = 0;
    for (let skip = 0; skip < operations; skip += 1) {
      await survive({ code: CODES[skip % CODES.length]!, skip, times: 1 });
      fired += world.disk.fired;
    }
    expect(fired).toBeGreaterThan(operations * 0.9);
  });

  test('for good, from any operation on', async () => {
    const operations = await operationsOfALife();
    for (let skip = 0; skip < operations; skip += 1) {
      await survive({ code: CODES[(skip + 2) % CODES.length]!, skip });
      expect(world.disk.fired).toBeGreaterThan(0);
    }
  });

  test('is told in one warning and counted each time', async () => {
    await world.prepare();
    world.disk.fail({ code: 'EROFS', operations: ['create', 'write', 'makeDirectory'] });
    await world.open();
    for (let pass = 0; pass < 5; pass += 1) await world.readAll();
    await world.close();
    expect(world.logger.lines).toEqual([expect.stringMatching(/^warn: cannot write to the cache in .*EROFS/)]);
    expect(world.metrics.get('seekfs_l2_write_failures_total')).toBeGreaterThan(1);
  });

  test('in reading is told in one warning and counted each time', async () => {
    await world.prepare();
    await world.open();
    await world.readAll();
    world.disk.fail({ code: 'EIO', operations: ['read'] });
    for (let pass = 0; pass < 5; pass += 1) expect(await world.readAll()).toBeGreaterThan(0);
    world.disk.heal();
    expect(await world.readAll()).toBe(0);
    await world.close();
    expect(world.logger.lines).toEqual([expect.stringMatching(/^warn: cannot read the cache in .*EIO/)]);
    expect(world.metrics.get('seekfs_l2_read_failures_total')).toBeGreaterThan(1);
  });

  test('by bytes that change under a running reader serves none of them, and every damage heals', async () => {
    await world.prepare();
    await world.open();
    await world.readAll();
    const random = seededRandom(17);
    let refetched = 0;
    for (let turn = 0; turn < 60; turn += 1) {
      const segments = await world.inner.list('/cache/segments');
      const path = `/cache/segments/${segments[Math.floor(random.unit() * segments.length)]}`;
      const bytes = world.inner.bytesOf(path);
      for (let hit = 0; hit < 3; hit += 1) bytes[Math.floor(random.unit() * bytes.length)]! ^= 1 << (hit + 1);
      world.inner.plant(path, bytes);
      refetched += await world.readAll();
      expect(await world.readAll(), `GETs after damage ${turn} was met`).toBe(0);
    }
    expect(refetched).toBeGreaterThan(20);
    expect(world.metrics.get('seekfs_crc_failures_total')).toBeGreaterThanOrEqual(20);
    await world.close();
  });

  test('that vanishes under a running process is read through, and used again when it is back', async () => {
    await world.prepare();
    await world.open();
    await world.readAll();
    await removeTree(world.inner, '/cache');
    world.disk.fail({ code: 'EACCES', operations: ['create', 'makeDirectory'] });
    for (let pass = 0; pass < 3; pass += 1) await world.readAll();
    expect(await world.readAll(), 'GETs while there is none').toBeGreaterThan(0);
    world.disk.heal();
    world.clock.advance(AFTER_EVERY_PAUSE_MS);
    await world.readAll();
    expect(await world.readAll(), 'GETs after the disk was back').toBe(0);
    await world.close();
    const warnings = world.logger.lines.filter((line) => line.startsWith('warn'));
    expect(warnings.length, warnings.join('\n')).toBeGreaterThan(0);
    expect(warnings.length, warnings.join('\n')).toBeLessThanOrEqual(3);
  });

  test('that is full takes what fits, and the rest is read through', async () => {
    world = new World(new CrashDisk({ totalBytes: 300_000 }));
    await world.prepare();
    await world.open();
    const cold = await world.readAll();
    const warm = await world.readAll();
    expect(warm).toBeGreaterThan(0);
    expect(warm).toBeLessThan(cold + 2);
    expect(world.inner.usedBytes).toBeLessThanOrEqual(300_000);
    await world.close();
  });
});
