import { setImmediate } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { isSeekfsError, SeekfsError } from '../../../src/lib/base/errors.ts';
import { silentLogger } from '../../../src/lib/base/log.ts';
import { MemoryGovernor, SLAB_BYTES } from '../../../src/lib/base/memory.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { Claims } from '../../../src/lib/cache/claims.ts';
import type { PinnedVersion } from '../../../src/lib/manifest/types.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import type { GetRangeRequest } from '../../../src/lib/objectstore/object-store.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import { createReader } from '../../../src/lib/read/open-reader.ts';
import type { Reader, WarmOptions } from '../../../src/lib/read/reader.ts';
import { CrashDisk } from '../../support/crash-disk.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { closeBenches, readBench, type ReadBench } from '../../support/read-bench.ts';
import { askedSeed } from '../../support/seed.ts';
import { memorySettled, SteppedCache, steppedDisk } from '../../support/stepped.ts';
import { Steps } from '../../support/steps.ts';
import { WatchedStore } from '../../support/watched-store.ts';

afterEach(closeBenches);

/** Batches of a warming under way. */
const AT_ONCE = 4;
const GET_BYTES = 2 * MIB;
const bytes = someBytes(32 * MIB);
const SAMPLE_BYTES = 100 * KIB;

function shuffledSamples(seed: number): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: Math.floor(bytes.length / SAMPLE_BYTES) }, (_, sample) => ({
    off: sample * SAMPLE_BYTES,
    place: random.unit(),
  }))
    .sort((a, b) => a.place - b.place)
    .map(({ off }) => off);
}

/** Lets GETs wait until it is opened. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

async function published(bench: ReadBench): Promise<PinnedVersion> {
  return publishBytes(bench.store, [{ path: 'a', bytes, pageSizeBytes: 8 * MIB }]);
}

async function readSample(bench: ReadBench, version: PinnedVersion, off: number, signal?: AbortSignal): Promise<void> {
  const entry = await version.lookup('a');
  const got = await collect(bench.reader.stream(version, entry, { off, len: SAMPLE_BYTES }, { signal }));
  expect(got.equals(bytes.subarray(off, off + SAMPLE_BYTES))).toBe(true);
}

/** A warming of the file whose GETs are held, and which has planned all that it may. */
async function heldWarming(
  bench: ReadBench,
  version: PinnedVersion,
  options: WarmOptions = {},
): Promise<{ readonly warmed: Promise<unknown>; readonly begun: GetRangeRequest[]; readonly open: () => void }> {
  const begun: GetRangeRequest[] = [];
  const release = gate();
  const full = gate();
  bench.store.beforeGet = (request) => {
    begun.push(request);
    if (begun.length === AT_ONCE) full.open();
    return release.opened;
  };
  const entry = await version.lookup('a');
  const warmed = bench.reader
    .warm(version, [{ entry, range: { off: 0, len: bytes.length } }], options)
    .catch((error: unknown) => error);
  await full.opened;
  // It plans on while they are under way, and waits for nothing in doing so.
  await setImmediate();
  expect(begun.length).toBe(AT_ONCE);
  return { warmed, begun, open: release.open };
}

const limits = { rangeCoalesceMaxBytes: GET_BYTES };
/** In a batch that has not begun. */
const FAR_OFF = bytes.length - 5 * SAMPLE_BYTES;

test('shuffled reads of a file that was hinted just before begin its large GETs, and send none of their own', async () => {
  const bench = readBench({ limits });
  const version = await published(bench);
  const { warmed, begun, open } = await heldWarming(bench, version);
  const reads = shuffledSamples(1).map((off) => readSample(bench, version, off));
  await setImmediate();
  expect(begun.length).toBe(bytes.length / GET_BYTES);
  expect(begun.every(({ promotion }) => promotion!.aborted)).toBe(true);
  open();
  expect(await Promise.all([warmed, ...reads])).toEqual([undefined, ...reads.map(() => undefined)]);
  expect(bench.store.gets.length).toBe(bytes.length / GET_BYTES);
  expect(bench.store.gotBytes).toBe(bytes.length);
});

test('a read that is its own GET when memory is short leaves the batch planned, and comes while all else stands', async () => {
  // Four batches of 2 MiB are all that speculation may have.
  const bench = readBench({ limits, memoryBytes: 12 * MIB });
  const version = await published(bench);
  const { warmed, begun, open } = await heldWarming(bench, version);
  bench.store.beforeGet = (request) => void begun.push(request);
  await readSample(bench, version, FAR_OFF);
  expect(begun.length).toBe(AT_ONCE + 1);
  expect(begun.at(-1)!.range.len).toBeLessThanOrEqual(2 * GRANULE_BYTES);
  open();
  expect(await warmed).toBeUndefined();
  await collect(bench.reader.stream(version, await version.lookup('a'), { off: 0, len: bytes.length }));
  expect(bench.store.gotBytes).toBeLessThanOrEqual(bytes.length + 2 * GRANULE_BYTES);
});

test('a read of a large part of a batch sends GETs of its own', async () => {
  const bench = readBench({ limits });
  const version = await published(bench);
  const { warmed, begun, open } = await heldWarming(bench, version);
  const entry = await version.lookup('a');
  const read = collect(bench.reader.stream(version, entry, { off: 20 * MIB, len: GET_BYTES / 2 }));
  await setImmediate();
  expect(begun.slice(AT_ONCE).map(({ range }) => range)).toEqual([{ off: 20 * MIB, len: GET_BYTES / 2 }]);
  open();
  expect((await read).equals(bytes.subarray(20 * MIB, 20 * MIB + GET_BYTES / 2))).toBe(true);
  expect(await warmed).toBeUndefined();
});

test('what is planned is not begun after its time, nor after the warming was aborted', async () => {
  const clock = manualClock();
  for (const end of ['deadline', 'abort']) {
    const bench = readBench({ limits, deps: { clock } });
    const version = await published(bench);
    const controller = new AbortController();
    const { warmed, begun, open } = await heldWarming(bench, version, { ttlMs: 500, signal: controller.signal });
    if (end === 'abort') controller.abort();
    else clock.advance(1000);
    const read = readSample(bench, version, FAR_OFF);
    await setImmediate();
    expect(begun.length).toBe(AT_ONCE + 1);
    expect(begun.at(-1)!.range.len).toBeLessThanOrEqual(2 * GRANULE_BYTES);
    open();
    await read;
    expect(isSeekfsError(await warmed, 'interrupted')).toBe(end === 'abort');
    expect(bench.store.gets.length).toBe(AT_ONCE + 1);
  }
});

test('a promoted GET goes on for its reader when the warming is aborted, and ends when the reader leaves too', async () => {
  const bench = readBench({ limits });
  const version = await published(bench);
  const warming = new AbortController();
  const reading = new AbortController();
  const { warmed, begun, open } = await heldWarming(bench, version, { signal: warming.signal });
  const stays = readSample(bench, version, FAR_OFF);
  const leaves = readSample(bench, version, 20 * MIB, reading.signal).catch((error: unknown) => error);
  await setImmediate();
  const promoted = begun.slice(AT_ONCE);
  expect(promoted.map(({ range }) => range.len)).toEqual([GET_BYTES, GET_BYTES]);
  warming.abort();
  expect(promoted.map(({ signal }) => signal!.aborted)).toEqual([false, false]);
  reading.abort();
  expect(promoted.map(({ signal }) => signal!.aborted)).toEqual([false, true]);
  open();
  await stays;
  expect(isSeekfsError(await leaves, 'interrupted')).toBe(true);
  expect(isSeekfsError(await warmed, 'interrupted')).toBe(true);
});

test('before its turn a warming only plans, and begins what reads fall into', async () => {
  const bench = readBench({ limits });
  const version = await published(bench);
  const entry = await version.lookup('a');
  const turn = gate();
  const warmed = bench.reader.warm(version, [{ entry, range: { off: 0, len: bytes.length } }], { turn: turn.opened });
  await setImmediate();
  expect(bench.store.gets).toEqual([]);
  await readSample(bench, version, FAR_OFF);
  expect(bench.store.gets.map(({ range }) => range.len)).toEqual([GET_BYTES]);
  turn.open();
  await warmed;
  expect(bench.store.gotBytes).toBe(bytes.length);
});

test('a warming that is aborted before its turn ends without it', async () => {
  const bench = readBench({ limits });
  const version = await published(bench);
  const entry = await version.lookup('a');
  const controller = new AbortController();
  const never = new Promise<void>(() => undefined);
  const options = { turn: never, signal: controller.signal };
  const warmed = bench.reader.warm(version, [{ entry, range: { off: 0, len: bytes.length } }], options);
  await setImmediate();
  controller.abort();
  await expect(warmed).rejects.toMatchObject({ code: 'interrupted' });
  expect(bench.store.gets).toEqual([]);
});

test('where bytes a second are what is short a read brings its own', async () => {
  const bench = readBench({ limits, deps: { exhausted: () => 'bytes' } });
  const version = await published(bench);
  const { warmed, begun, open } = await heldWarming(bench, version);
  const read = readSample(bench, version, FAR_OFF);
  await setImmediate();
  expect(begun.at(-1)!.range.len).toBeLessThanOrEqual(2 * GRANULE_BYTES);
  open();
  await read;
  expect(await warmed).toBeUndefined();
});

/** From where on a page of one granule is planned while four batches are under way. */
const BATCH_GRANULES = 5;
const SCHEDULES = 300;
const shorter = bytes.subarray(0, (AT_ONCE + 2) * BATCH_GRANULES * GRANULE_BYTES);

/** A warming and reads that fall anywhere, of one or two processes; any of them may be aborted, and GETs fail. */
async function schedule(
  seed: number,
  { objects, version, memory }: { objects: MemoryObjectStore; version: PinnedVersion; memory: MemoryGovernor },
): Promise<number> {
  const steps = new Steps(seed);
  const store = new WatchedStore(objects);
  const withFaults = steps.pick(4) === 0;
  store.beforeGet = async ({ signal }) => {
    await steps.step('get');
    if (signal?.aborted) throw new SeekfsError('interrupted', 'aborted');
    if (withFaults && steps.pick(4) === 0) throw new SeekfsError('store_unavailable', 'a fault of the schedule');
  };
  const cache = new SteppedCache({ memory, steps, published: shorter });
  const disk = steppedDisk(new CrashDisk(), steps);
  const processes = Array.from({ length: 1 + steps.pick(2) }, (_, index) => {
    const identity = { bootId: 'boot', pidNamespace: `pid:[${index}]`, pid: 1, startTime: '1' };
    const isRunning = (): Promise<boolean> => Promise.resolve(true);
    const common = { log: silentLogger, clock: steps.clock };
    const claims = new Claims({ disk, directoryPath: '/claims', identity, isRunning, ...common });
    const reader = createReader({
      store: () => Promise.resolve(store),
      cache,
      memory,
      metrics: new Metrics(),
      claims,
      limits: { rangeCoalesceMaxBytes: BATCH_GRANULES * GRANULE_BYTES, gapBytesMax: 0, requireChecksums: false },
      ...common,
    });
    return { claims, reader };
  });
  const entry = await version.lookup('a');
  const readerOf = (): Reader => processes[steps.pick(processes.length)]!.reader;
  const abortable = async (work: (signal: AbortSignal) => Promise<void>): Promise<void> => {
    const controller = new AbortController();
    const delay = steps.pick(4) === 0 ? steps.pick(20) : undefined;
    const ended = work(controller.signal).catch((error: unknown) => {
      const isExpected = isSeekfsError(error, 'interrupted') ? delay !== undefined : withFaults && isSeekfsError(error);
      if (!isExpected) throw error;
    });
    for (let turn = 0; turn < (delay ?? 0); turn += 1) await steps.step('abort later');
    if (delay !== undefined) controller.abort();
    await ended;
  };
  const turnLater = async (delay: number): Promise<void> => {
    for (let turn = 0; turn < delay; turn += 1) await steps.step('turn later');
  };
  const warming = abortable((signal) =>
    readerOf().warm(version, [{ entry, range: { off: 0, len: shorter.length } }], {
      signal,
      ttlMs: 20 + steps.pick(200),
      turn: steps.pick(2) === 0 ? turnLater(steps.pick(40)) : undefined,
    }),
  );
  const reads = Array.from({ length: 6 }, () =>
    abortable(async (signal) => {
      await steps.step('begin');
      const off = steps.pick(shorter.length - 1000);
      const got = await collect(readerOf().stream(version, entry, { off, len: 1000 }, { signal }));
      if (!got.equals(shorter.subarray(off, off + 1000))) throw new Error(`wrong bytes at ${off}`);
    }),
  );
  const everything = (async (): Promise<void> => {
    for (const outcome of await Promise.allSettled([warming, ...reads])) {
      if (outcome.status === 'rejected') throw outcome.reason;
    }
    for (const { reader, claims } of processes) {
      await reader.close();
      await claims.close();
    }
  })();
  await steps.run(everything);
  await everything;
  await steps.run(memorySettled(memory, steps));
  expect(store.active).toBe(0);
  expect(memory.waiting).toBe(0);
  if (processes.length === 1 && !withFaults && !steps.taken.includes('abort later')) {
    // Nobody leaves and nothing fails: no granule comes twice.
    expect(store.gotBytes).toBeLessThanOrEqual(shorter.length);
  }
  return store.gets.filter(({ lane, promotion }) => lane === 'speculation' && promotion!.aborted).length;
}

test(`${SCHEDULES} schedules of a warming, reads that promote it, claims and aborts end with the right bytes and nothing held`, async () => {
  const objects = new MemoryObjectStore();
  const version = await publishBytes(objects, [{ path: 'a', bytes: shorter, pageSizeBytes: 8 * GRANULE_BYTES }]);
  // Too little for a fifth batch, enough for one or two more, and plenty.
  const memories = [30, 40, 64].map((slabs) => new MemoryGovernor({ limitBytes: slabs * SLAB_BYTES }));
  let promoted = 0;
  const first = askedSeed(1);
  for (let seed = first; seed < first + SCHEDULES; seed += 1) {
    try {
      promoted += await schedule(seed, { objects, version, memory: memories[seed % memories.length]! });
    } catch (error) {
      throw new Error(`schedule ${seed}: ${String(error)}`, { cause: error });
    }
  }
  expect(promoted).toBeGreaterThan(SCHEDULES / 10);
}, 120_000);
