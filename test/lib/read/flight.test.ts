import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ByteRange } from '../../../src/lib/base/byte-range.ts';
import { isSeekfsError, SeekfsError } from '../../../src/lib/base/errors.ts';
import { silentLogger } from '../../../src/lib/base/log.ts';
import { MemoryGovernor, SLAB_BYTES, type Slab } from '../../../src/lib/base/memory.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { Claims } from '../../../src/lib/cache/claims.ts';
import type { FileEntry, PinnedVersion } from '../../../src/lib/manifest/types.ts';
import { KIB } from '../../../src/lib/base/units.ts';
import { ForwardingObjectStore } from '../../../src/lib/objectstore/forwarding.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import type { GetRangeRequest, ObjectHead, RangeSink } from '../../../src/lib/objectstore/object-store.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import { createReader } from '../../../src/lib/read/open-reader.ts';
import type { Reader } from '../../../src/lib/read/reader.ts';
import { CrashDisk } from '../../support/crash-disk.ts';
import { publishBytes, someBytes } from '../../support/data-set.ts';
import { memorySettled, SteppedCache, steppedDisk } from '../../support/stepped.ts';
import { Steps } from '../../support/steps.ts';
import { WatchedStore } from '../../support/watched-store.ts';
import { askedSeed } from '../../support/seed.ts';

const SCHEDULES = 10_000;
const READS = 5;
/** Pages of two granules, small enough that 10,000 schedules are a matter of seconds. */
const PAGE_BYTES = 2 * GRANULE_BYTES;

const bytes = someBytes(PAGE_BYTES + 1000);
const objects = new MemoryObjectStore();
let version: PinnedVersion;
let entries: FileEntry[];

beforeAll(async () => {
  version = await publishBytes(objects, [
    { path: 'granules', bytes, pageSizeBytes: PAGE_BYTES },
    { path: 'pages', bytes, pageSizeBytes: PAGE_BYTES, checksums: 'pages' },
  ]);
  entries = [await version.lookup('granules'), await version.lookup('pages')];
});

/** Gives out one chunk of memory again and again, as engines do. */
class ReusingStore extends ForwardingObjectStore {
  readonly #chunk = Buffer.allocUnsafeSlow(64 * KIB);

  override async getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    const { key, range } = request;
    const head = await this.inner.head({ key });
    request.onHead?.(head);
    for (let off = range.off; off < range.off + range.len; off += this.#chunk.length) {
      const end = Math.min(off + this.#chunk.length, range.off + range.len);
      await sink.write(this.#chunk.subarray(0, bytes.copy(this.#chunk, 0, off, end)));
    }
    return head;
  }
}

/** Slabs that are exactly these ranges of the file, one after the other, each released. */
async function checkSlabs(slabs: AsyncIterable<Slab>, ranges: readonly ByteRange[]): Promise<void> {
  const left = ranges.map(({ off, len }) => ({ off, len }));
  for await (const slab of slabs) {
    const range = left[0];
    const { length } = slab.bytes;
    const isRight = range && length <= range.len && slab.bytes.equals(bytes.subarray(range.off, range.off + length));
    slab.release();
    if (!isRight) throw new Error(`a slab of ${length} bytes is not what comes next`);
    range.off += length;
    range.len -= length;
    if (range.len === 0) left.shift();
  }
  if (left.length > 0) throw new Error(`the answer ended ${left[0]!.len} bytes before the end of a range`);
}

const isRunning = (): Promise<boolean> => Promise.resolve(true);

interface Counts {
  gets: number;
  aborts: number;
  faults: number;
  shared: number;
  waited: number;
}

/** Two processes, as far as the read path can tell, that share a cache; each reads, aborts and meets faults at random. */
async function schedule(seed: number, memory: MemoryGovernor, counts: Counts): Promise<void> {
  const steps = new Steps(seed);
  const store = new WatchedStore(new ReusingStore(objects));
  const withFaults = steps.pick(4) === 0;
  store.beforeGet = async ({ signal }) => {
    await steps.step('get');
    if (signal?.aborted) throw new SeekfsError('interrupted', 'aborted');
    if (withFaults && steps.pick(4) === 0) {
      counts.faults += 1;
      throw new SeekfsError('store_unavailable', 'a fault of the schedule');
    }
  };
  const cache = new SteppedCache({ memory, steps, published: bytes });
  const disk = steppedDisk(new CrashDisk(), steps);
  const processes = 1 + steps.pick(2);
  const claims: Claims[] = [];
  const readers: Reader[] = [];
  for (let index = 0; index < processes; index += 1) {
    // Of another pid namespace each, and alive, so that no schedule depends on what /proc answers and when.
    const identity = { bootId: 'boot', pidNamespace: `pid:[${index}]`, pid: 1, startTime: '1' };
    const options = { disk, directoryPath: '/claims', log: silentLogger, clock: steps.clock, identity, isRunning };
    claims.push(new Claims(options));
    readers.push(
      createReader({
        store: () => Promise.resolve(store),
        cache,
        memory,
        metrics: new Metrics(),
        log: silentLogger,
        claims: claims[index]!,
        clock: steps.clock,
        limits: { rangeCoalesceMaxBytes: 2 * PAGE_BYTES, gapBytesMax: 0, requireChecksums: false },
      }),
    );
  }
  const work = Array.from({ length: READS }, async () => {
    const reader = readers[steps.pick(processes)]!;
    const entry = entries[steps.pick(entries.length)]!;
    const off = steps.pick(bytes.length - 1);
    const len = 1 + steps.pick(bytes.length - off);
    const isAborted = steps.pick(4) === 0;
    const controller = new AbortController();
    await steps.step('begin');
    if (isAborted) void abortLater(controller);
    try {
      const options = { signal: controller.signal };
      const extents = [
        { path: entry.path, off, len },
        { path: entry.path, off: 0, len: 10 },
      ];
      if (steps.pick(2) === 0) await checkSlabs(reader.stream(version, entry, { off, len }, options), [{ off, len }]);
      else await checkSlabs(reader.readv(version, extents, options), extents);
    } catch (error) {
      const isExpected = isSeekfsError(error, 'interrupted') ? isAborted : withFaults;
      if (!isExpected || !isSeekfsError(error)) throw error;
    }
  });
  async function abortLater(controller: AbortController): Promise<void> {
    const delay = steps.pick(12);
    for (let turn = 0; turn < delay; turn += 1) await steps.step('abort later');
    counts.aborts += 1;
    controller.abort();
  }
  const outcomes = Promise.allSettled(work);
  const everything = (async (): Promise<void> => {
    for (const outcome of await outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    for (const reader of readers) await reader.close();
    for (const one of claims) await one.close();
  })();
  await steps.run(everything);
  await everything;
  await steps.run(memorySettled(memory, steps));
  expect(store.active).toBe(0);
  counts.gets += store.gets.length;
  counts.shared += store.gets.length < READS && !withFaults ? 1 : 0;
  counts.waited += steps.taken.includes('sleep') ? 1 : 0;
  if (!withFaults && !steps.taken.includes('abort later')) {
    // Nobody leaves and nothing fails: no GET brings only what another one brought, and within a process no granule
    // comes twice. (Where two processes want different granules of a page, both may bring those they share.)
    const seen = new Set<string>();
    for (const { key, range } of store.gets) {
      const granules = Array.from(
        { length: Math.ceil(range.len / GRANULE_BYTES) },
        (_, index) => `${key} ${range.off / GRANULE_BYTES + index}`,
      );
      const again = granules.filter((granule) => seen.has(granule));
      expect(again.length, `${again.join(', ')} came twice`).toBeLessThanOrEqual(
        processes === 1 ? 0 : granules.length - 1,
      );
      for (const granule of granules) seen.add(granule);
    }
  }
}

/** Thousands of errors are part of the schedules: their stacks would be most of the work. */
const { stackTraceLimit } = Error;
const memories: MemoryGovernor[] = [];

afterAll(() => {
  Error.stackTraceLimit = stackTraceLimit;
  for (const memory of memories) expect(memory.waiting).toBe(0);
});

test(`${SCHEDULES} schedules of single-flight, memory, claims and aborts end with the right bytes and nothing held`, async () => {
  const counts: Counts = { gets: 0, aborts: 0, faults: 0, shared: 0, waited: 0 };
  // From barely enough for one read to plenty.
  for (const slabs of [8, 12, 64]) memories.push(new MemoryGovernor({ limitBytes: slabs * SLAB_BYTES }));
  const first = askedSeed(1);
  Error.stackTraceLimit = 0;
  for (let seed = first; seed < first + SCHEDULES; seed += 1) {
    try {
      await schedule(seed, memories[seed % memories.length]!, counts);
    } catch (error) {
      throw new Error(`schedule ${seed}: ${String(error)}`, { cause: error });
    }
  }
  // The schedules went where they were meant to go.
  expect(Math.min(counts.aborts, counts.faults, counts.shared, counts.waited)).toBeGreaterThan(SCHEDULES / 100);
}, 300_000);
