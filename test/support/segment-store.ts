// A segmentstore in a test: its seams, and pages of known bytes, verified as the fetcher would.
import { systemClock } from '../../src/lib/base/clock.ts';
import { crc32c, loadCrc32c } from '../../src/lib/base/crc32c.ts';
import type { LogLevel, Logger } from '../../src/lib/base/log.ts';
import { MemoryGovernor, type Slab } from '../../src/lib/base/memory.ts';
import { Metrics } from '../../src/lib/base/metrics.ts';
import { seededRandom } from '../../src/lib/base/random.ts';
import { MIB } from '../../src/lib/base/units.ts';
import { openSegmentStore, type SegmentStoreOptions } from '../../src/lib/cache/open-segment-store.ts';
import type { SegmentStore } from '../../src/lib/cache/segment-store.ts';
import { nodeDisk } from '../../src/lib/disk/node-disk.ts';
import {
  GRANULE_BYTES,
  granuleCount,
  granuleLength,
  type CheckedPage,
  type GranuleSpan,
} from '../../src/lib/page/page.ts';
import { verifyRun, type VerifiedRun } from '../../src/lib/page/verified.ts';

await loadCrc32c();

export interface TestPage {
  readonly page: CheckedPage;
  readonly bytes: Buffer;
}

/** A page whose bytes follow from its name: the same in every process. */
export function testPage(options: { path?: string; pageId?: number; len?: number; identity?: string } = {}): TestPage {
  const { path = 'a.bin', pageId = 0, len = 300_000, identity = `sha256:${path}` } = options;
  const seed = crc32c(Buffer.from(`${path} ${pageId} ${len} ${identity}`));
  const bytes = patterned(seed, len);
  const granuleCrcs = Uint32Array.from({ length: Math.ceil(len / GRANULE_BYTES) }, (_, granule) =>
    crc32c(bytes.subarray(granule * GRANULE_BYTES, (granule + 1) * GRANULE_BYTES)),
  );
  const page = { ns: 'dev', path, identity, pageId, off: pageId * len, len, crc32c: crc32c(bytes), granuleCrcs };
  return { page: { kind: 'checked', ...page }, bytes };
}

function patterned(seed: number, length: number): Buffer {
  const noise = seededRandom(seed).bytes(1024);
  const bytes = Buffer.alloc(length, noise);
  for (let at = 0; at + 4 <= length; at += 1024) bytes.writeUInt32LE((seed + at) >>> 0, at);
  return bytes;
}

export class RecordingLogger implements Logger {
  readonly lines: string[] = [];

  log(level: LogLevel, message: string): void {
    this.lines.push(`${level}: ${message}`);
  }
}

export type TestStoreOptions = Partial<SegmentStoreOptions>;

export interface TestStore {
  readonly store: SegmentStore;
  readonly memory: MemoryGovernor;
  readonly metrics: Metrics;
  readonly logger: RecordingLogger;
  /** Offers the granules of a page and waits until they are written. */
  put(page: TestPage, span?: GranuleSpan): Promise<void>;
  /** The bytes of the range, or undefined for a miss; fails where they are not those of the page. */
  get(page: TestPage, range?: { off: number; len: number }): Promise<Buffer | undefined>;
}

export async function verifiedRun(memory: MemoryGovernor, of: TestPage, span?: GranuleSpan): Promise<VerifiedRun> {
  const { first, count } = span ?? { first: 0, count: granuleCount(of.page) };
  const lengths = Array.from({ length: count }, (_, index) => granuleLength(of.page, first + index));
  const slabs = (await memory.acquire(lengths, { lane: 'demand' }))!;
  for (const [index, slab] of slabs.entries()) of.bytes.copy(slab.bytes, 0, (first + index) * GRANULE_BYTES);
  return verifyRun(of.page, { first, count }, slabs);
}

export function joined(slabs: readonly Slab[]): Buffer {
  const bytes = Buffer.concat(slabs.map((slab) => slab.bytes));
  for (const slab of slabs) slab.release();
  return bytes;
}

let opened = 0;

/**
 * Segment names are the same in every run, and with them the order of segments: other ones for each store of a process.
 * Programs that share a directory with others pass `systemRandom`, or their segments would have the same names.
 */
export async function openTestStore(directoryPath: string, options: TestStoreOptions = {}): Promise<TestStore> {
  const memory = options.memory ?? new MemoryGovernor({ limitBytes: 128 * MIB });
  const metrics = new Metrics();
  const logger = new RecordingLogger();
  const store = await openSegmentStore({
    disk: nodeDisk,
    directoryPath,
    capacityBytes: 1024 * MIB,
    freeReserveBytes: 0,
    memory,
    metrics,
    log: logger,
    clock: systemClock,
    random: seededRandom((opened += 1)),
    ...options,
  });
  return {
    store,
    memory,
    metrics,
    logger,
    put: async (of, span) => {
      const run = await verifiedRun(memory, of, span);
      store.insert(run);
      run.release();
      await store.drain();
    },
    get: async (of, range = { off: 0, len: of.page.len }) => {
      const slabs = await store.read(of.page, range, {});
      if (!slabs) return undefined;
      const bytes = joined(slabs);
      if (!bytes.equals(of.bytes.subarray(range.off, range.off + range.len)))
        throw new Error('wrong bytes were served');
      return bytes;
    },
  };
}
