import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { SeekfsError, type ErrorCode } from '../../../src/lib/base/errors.ts';
import { silentLogger } from '../../../src/lib/base/log.ts';
import { MemoryGovernor } from '../../../src/lib/base/memory.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { systemRandom } from '../../../src/lib/base/random.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { startServer } from '../../../src/lib/blobapi/server.ts';
import { createPageCache } from '../../../src/lib/cache/layered-cache.ts';
import { openSegmentStore } from '../../../src/lib/cache/open-segment-store.ts';
import type { PageCache } from '../../../src/lib/cache/page-cache.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import type { FileEntry, PinnedVersion } from '../../../src/lib/manifest/types.ts';
import type { ObjectStore } from '../../../src/lib/objectstore/object-store.ts';
import { DEFAULT_TIMEOUTS, type S3Timeouts } from '../../../src/lib/objectstore/s3-options.ts';
import { granuleCount, granuleLength, GRANULE_BYTES, type Page } from '../../../src/lib/page/page.ts';
import { createReader } from '../../../src/lib/read/open-reader.ts';
import { FilePages } from '../../../src/lib/read/pages.ts';
import type { Reader } from '../../../src/lib/read/reader.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { FaultyS3, type Fault } from '../../support/faulty-s3.ts';
import { ask } from '../../support/http.ts';
import { memoryData } from '../../support/memory-data.ts';
import { openS3Store } from '../../support/s3-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const PAGE_BYTES = 256 * KIB;
const bytes = someBytes(2 * PAGE_BYTES);
const EXTENTS = [
  { path: 'a', off: 300_000, len: 100_000 },
  { path: 'a', off: 5, len: 70_000 },
];

const FAULTS: readonly Fault[] = [
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503, retryAfterS: 0 },
  { kind: 'status', status: 403, code: 'AccessDenied' },
  { kind: 'slow first byte' },
  { kind: 'stall', afterBytes: 100 * KIB },
  { kind: 'short body', afterBytes: 100 * KIB },
  { kind: 'reset', afterBytes: 100 },
  { kind: 'no answer' },
  { kind: 'extra bytes', announced: true },
  { kind: 'extra bytes', announced: false },
  { kind: 'whole instead of range' },
  { kind: 'wrong range' },
  { kind: 'shorter range' },
  { kind: 'flipped bit', at: 1000 },
  { kind: 'changed etag' },
  { kind: 'redirect', status: 307 },
  { kind: 'html', status: 502 },
  { kind: 'html', status: 200 },
  { kind: 'gzip' },
  { kind: 'chunked' },
];

/** Only who waits for an answer that does not come may lose patience: an innocent one is late, too, on a busy machine. */
const SILENT: ReadonlySet<Fault['kind']> = new Set(['slow first byte', 'stall']);

/** What a fault may become; right bytes are always allowed. */
const CODES: ReadonlySet<ErrorCode> = new Set([
  'store_unavailable',
  'store_throttled',
  'access_denied',
  'object_changed',
  'page_corrupt',
]);

interface World {
  readonly server: FaultyS3;
  readonly version: PinnedVersion;
  readonly entry: FileEntry;
  readonly reader: Reader;
  readonly cache: PageCache;
  readonly memory: MemoryGovernor;
  /** The faults are over: from here on it waits for answers as long as they take. */
  heal(): void;
  close(): Promise<void>;
}

/** A store of its own with one file, and a reader with an empty cache. */
async function openWorld(engine: 'sdk' | 'undici', fault?: Fault): Promise<World> {
  const server = await new FaultyS3().listen();
  const open = (timeouts?: S3Timeouts): ObjectStore => openS3Store(server.options({ timeouts }), { engine });
  const patient = open();
  const version = await publishBytes(patient, [{ path: 'a', bytes, pageSizeBytes: PAGE_BYTES }]);
  const impatient = open({ ...DEFAULT_TIMEOUTS, firstByteMs: 400, stallMs: 400 });
  let store = fault && SILENT.has(fault.kind) ? impatient : patient;
  const memory = new MemoryGovernor({ limitBytes: 64 * MIB });
  const metrics = new Metrics();
  const l2 = await openSegmentStore({
    disk: nodeDisk,
    directoryPath: await temporaryDirectory('seekfs-faults'),
    capacityBytes: 64 * MIB,
    freeReserveBytes: 0,
    memory,
    metrics,
    log: silentLogger,
    clock: systemClock,
    random: systemRandom,
  });
  const cache = createPageCache({ l2, metrics });
  const reader = createReader({
    store: () => Promise.resolve(store),
    cache,
    memory,
    metrics: new Metrics(),
    log: silentLogger,
    limits: { rangeCoalesceMaxBytes: PAGE_BYTES, streamGetBytes: PAGE_BYTES, requireChecksums: false },
  });
  const close = async (): Promise<void> => {
    await reader.close();
    await cache.close();
    expect(memory.inUseBytes).toBe(0);
    await Promise.all([patient.close(), impatient.close()]);
    await server.close();
  };
  const heal = (): void => {
    server.forgetFaults();
    store = patient;
  };
  return { server, version, entry: await version.lookup('a'), reader, cache, memory, heal, close };
}

function same(got: Buffer, expected: Buffer): string {
  return got.equals(expected) ? 'right bytes' : `${got.length} wrong bytes`;
}

async function typed(work: () => Promise<string>): Promise<string> {
  try {
    return await work();
  } catch (error) {
    return error instanceof SeekfsError ? error.code : `not a SeekfsError: ${String(error)}`;
  }
}

const expected = Buffer.concat(EXTENTS.map(({ off, len }) => bytes.subarray(off, off + len)));

/** The Blob API over the same reader: what a client makes of the answer. */
async function overHttp({ reader, memory, version }: World, target: string, body?: unknown): Promise<string> {
  const data = memoryData({}, { memoryBytes: MIB });
  const api = await startServer(
    {
      ...data,
      memory,
      head: () => Promise.resolve({ version: 1, digest: undefined }),
      pin: () => Promise.resolve({ ...shared(version), close: () => Promise.resolve() }),
      reader: () => Promise.resolve(reader),
    },
    { listen: { host: '127.0.0.1', port: 0 } },
  );
  try {
    const answer = await ask(
      `${api.url}${target}`,
      body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) },
    );
    if (answer.status === 200 || answer.status === 206) return same(answer.body, body === undefined ? bytes : expected);
    return (JSON.parse(answer.body.toString()) as { error: { code: string } }).error.code;
  } catch {
    // The connection was destroyed in the middle of the body: an honest failure.
    return 'store_unavailable';
  } finally {
    await api.close({ drainMsMax: 0 });
  }
}

function shared(pinned: PinnedVersion): Omit<PinnedVersion, 'close'> {
  const { ns, digest, header, fileCount, totalBytes } = pinned;
  const lookup = pinned.lookup.bind(pinned);
  return { ns, version: pinned.version, digest, header, fileCount, totalBytes, lookup, list: pinned.list.bind(pinned) };
}

const APIS: Readonly<Record<string, (world: World) => Promise<string>>> = {
  stream: ({ reader, version, entry }) =>
    typed(async () => same(await collect(reader.stream(version, entry, { off: 0, len: bytes.length })), bytes)),
  readv: ({ reader, version }) => typed(async () => same(await collect(reader.readv(version, EXTENTS)), expected)),
  warm: ({ reader, cache, version, entry }) =>
    typed(async () => {
      await reader.warm(version, [{ entry, range: { off: 0, len: bytes.length } }]);
      const page = (index: number): Page => new FilePages(version.ns, entry).page(index).page;
      for (const index of entry.pages.keys()) {
        const presence = await cache.presence(page(index));
        if (!presence.complete) return `page ${index} is not complete`;
      }
      return 'right bytes';
    }),
  'read-ahead': ({ reader, version, entry }) =>
    typed(async () => {
      const got: Buffer[] = [];
      for (let off = 0; off < bytes.length; off += 32 * KIB) {
        got.push(await collect(reader.stream(version, entry, { off, len: 32 * KIB })));
      }
      return same(Buffer.concat(got), bytes);
    }),
  'GET /blob': (one) => overHttp(one, '/blob?ns=dev&path=a'),
  'POST /readv': (one) => overHttp(one, '/readv?ns=dev', EXTENTS),
};

/** Every granule that the cache on disk holds is right. */
async function checkCache({ cache, version, entry }: World): Promise<number> {
  await cache.drain();
  let found = 0;
  const file = new FilePages(version.ns, entry);
  for (let index = 0; index < entry.pages.length; index += 1) {
    const { page } = file.page(index);
    for (let granule = 0; granule < granuleCount(page); granule += 1) {
      const off = granule * GRANULE_BYTES;
      const len = granuleLength(page, granule);
      const slabs = await cache.read(page, { off, len }, {});
      if (!slabs) continue;
      found += 1;
      expect(slabs[0]!.bytes.equals(bytes.subarray(page.off + off, page.off + off + len))).toBe(true);
      for (const slab of slabs) slab.release();
    }
  }
  return found;
}

/** After the fault: no wrong byte is in the cache, reads are right, and what they brought is in L2. */
async function expectWell(world: World): Promise<void> {
  await checkCache(world);
  expect(await APIS['stream']!(world), 'and afterwards').toBe('right bytes');
  // A stream does not wait for a disk that stands still; warming does.
  expect(await APIS['warm']!(world)).toBe('right bytes');
  expect(await checkCache(world), 'granules in L2').toBe(4);
}

/** What is wrong with the store at large, and how it gets well: the API may fail, but not with wrong bytes. */
const CONDITIONS: Readonly<Record<string, { set(server: FaultyS3): void; heal(server: FaultyS3): void }>> = {
  'a clock that is an hour ahead': {
    set: (server) => (server.clockOffsetMs = 3_600_000),
    heal: (server) => (server.clockOffsetMs = 0),
  },
  'expired credentials': {
    set: (server) => server.expiredKeys.add('key'),
    heal: (server) => server.expiredKeys.clear(),
  },
};

const cases = (['sdk', 'undici'] as const).flatMap((engine) =>
  Object.keys(APIS).flatMap((api) => FAULTS.map((fault) => ({ engine, api, fault, name: JSON.stringify(fault) }))),
);

describe.concurrent('every way to read against every fault of a store', () => {
  test.each(cases)('$engine, $api, $name: right bytes or a typed error', async ({ engine, api, fault }) => {
    for (const times of engine === 'undici' || api === 'stream' ? [1, 50] : [1]) {
      const world = await openWorld(engine, fault);
      world.server.fail(fault, { times });
      // That it ends at all is seen by the time limit of the test: what is silent here is so for weeks.
      const outcome = await APIS[api]!(world);
      expect(world.server.pending, 'the fault was met').toBeLessThan(times);
      if (outcome !== 'right bytes') expect([...CODES]).toContain(outcome);
      world.heal();
      await expectWell(world);
      await world.close();
    }
  });
});

describe.concurrent('every way to read with', () => {
  const conditions = (['sdk', 'undici'] as const).flatMap((engine) =>
    Object.keys(APIS).flatMap((api) => Object.keys(CONDITIONS).map((name) => ({ engine, api, name }))),
  );
  test.each(conditions)('$name, $engine, $api: right bytes or a typed error', async ({ engine, api, name }) => {
    const world = await openWorld(engine);
    CONDITIONS[name]!.set(world.server);
    const outcome = await APIS[api]!(world);
    if (outcome !== 'right bytes') expect([...CODES]).toContain(outcome);
    CONDITIONS[name]!.heal(world.server);
    await expectWell(world);
    await world.close();
  });
});
