// Ten minutes (SEEKFS_SOAK_S: other seconds) of everything that a reader can ask for at once, over a store with faults
// of every kind, a cache on disk of half the data and little memory: right bytes or typed errors, no growth, no stall.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/lib/base/clock.ts';
import { isSeekfsError } from '../../src/lib/base/errors.ts';
import { silentLogger } from '../../src/lib/base/log.ts';
import { MemoryGovernor } from '../../src/lib/base/memory.ts';
import { Metrics } from '../../src/lib/base/metrics.ts';
import { seededRandom, systemRandom } from '../../src/lib/base/random.ts';
import { KIB, MIB } from '../../src/lib/base/units.ts';
import { Claims } from '../../src/lib/cache/claims.ts';
import { L1 } from '../../src/lib/cache/l1.ts';
import { createPageCache } from '../../src/lib/cache/layered-cache.ts';
import { openSegmentStore } from '../../src/lib/cache/open-segment-store.ts';
import { nodeDisk } from '../../src/lib/disk/node-disk.ts';
import { createReader } from '../../src/lib/read/open-reader.ts';
import { publishBytes, someBytes } from '../support/data-set.ts';
import { FaultyS3, type Fault } from '../support/faulty-s3.ts';
import { openS3Store } from '../support/s3-store.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { askedSeed } from '../support/seed.ts';

const DURATION_MS = Number(process.env['SEEKFS_SOAK_S'] ?? 600) * 1000;
const SEED = askedSeed('random');
const READERS = 16;
const FILES = 8;
const FILE_BYTES = 8 * MIB;
const MEMORY_BYTES = 64 * MIB;
/** A read meets at most the time-outs of a few attempts; longer without any read is a stall. */
const SILENCE_MS_MAX = 20_000;
const GROWTH_BYTES_MAX = 48 * MIB;

const FAULTS: readonly Fault[] = [
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503, retryAfterS: 0 },
  { kind: 'slow first byte', delayMs: 300 },
  { kind: 'slow first byte' },
  { kind: 'stall', afterBytes: 100 * KIB },
  { kind: 'short body', afterBytes: 70 * KIB },
  { kind: 'reset', afterBytes: 1000 },
  { kind: 'no answer' },
  { kind: 'extra bytes', announced: false },
  { kind: 'whole instead of range' },
  { kind: 'wrong range' },
  { kind: 'flipped bit', at: 1000 },
  { kind: 'changed etag' },
  { kind: 'html', status: 200 },
  { kind: 'gzip' },
  { kind: 'chunked' },
];

setFlagsFromString('--expose_gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heldBytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test('mixed load with faults neither grows nor stalls', async () => {
  process.stdout.write(`mixed load: SEEKFS_SEED=${SEED}\n`);
  const random = seededRandom(SEED);
  const pick = (below: number): number => Math.floor(random.unit() * below);
  const server = await new FaultyS3().listen();
  const [metrics, memory] = [new Metrics(), new MemoryGovernor({ limitBytes: MEMORY_BYTES })];
  const common = { memory, metrics, log: silentLogger, clock: systemClock };
  const store = openS3Store(server.options({ timeouts: { connectMs: 1000, firstByteMs: 1000, stallMs: 1000 } }), {
    metrics,
    engine: 'undici',
    getBudgetPerSec: 500,
    getBudgetBytesPerSec: 200 * MIB,
    maxInflightGets: 32,
    hedgeSlowGets: true,
    retryInitialBackoffMs: 10,
  });
  const bytes = Array.from({ length: FILES }, (_, index) => someBytes(FILE_BYTES, index));
  const files = bytes.map((each, index) => ({ path: `f${index}`, bytes: each, pageSizeBytes: MIB }));
  const version = await publishBytes(store, files);
  const directoryPath = await temporaryDirectory('seekfs-soak');
  const l2 = await openSegmentStore({
    ...common,
    disk: nodeDisk,
    directoryPath,
    capacityBytes: (FILES * FILE_BYTES) / 2,
    freeReserveBytes: 0,
    random: systemRandom,
  });
  const l1 = new L1({ limitBytes: MEMORY_BYTES / 4, governor: memory, metrics });
  const cache = createPageCache({ l1, l2, metrics });
  const claims = new Claims({ disk: nodeDisk, directoryPath: `${directoryPath}/claims`, log: silentLogger });
  const limits = { rangeCoalesceMaxBytes: 4 * MIB, requireChecksums: true };
  const reader = createReader({
    ...common,
    store: () => Promise.resolve(store),
    exhausted: () => store.exhausted,
    cache,
    claims,
    limits,
  });

  const counts = { reads: 0, failures: 0, aborts: 0, faults: 0, wrong: 0 };
  let silentSinceMs = performance.now();
  let silenceMsMax = 0;
  let peakBytes = 0;
  const endMs = performance.now() + DURATION_MS;

  const read = async (): Promise<void> => {
    const index = pick(FILES);
    const path = `f${index}`;
    const entry = await version.lookup(path);
    const off = pick(FILE_BYTES - 1);
    const leaving = new AbortController();
    const { signal } = leaving;
    const isLeaving = pick(20) === 0;
    const kind = pick(10);
    const range = { off, len: 1 + pick(Math.min(FILE_BYTES - off, kind < 5 ? 256 * KIB : 4 * MIB)) };
    if (kind === 9) {
      await reader.warm(version, [{ entry, range }], { signal, ttlMs: 1000 });
      return;
    }
    const extents = kind < 3 ? [{ path, ...range }, ...[0, 1, 2].map(() => someExtent())] : undefined;
    const slabs = extents
      ? reader.readv(version, extents, { signal })
      : reader.stream(version, entry, range, { signal });
    const expected = extents
      ? Buffer.concat(extents.map((one) => bytes[Number(one.path.slice(1))]!.subarray(one.off, one.off + one.len)))
      : bytes[index]!.subarray(off, off + range.len);
    let at = 0;
    for await (const slab of slabs) {
      if (!slab.bytes.equals(expected.subarray(at, at + slab.bytes.length))) counts.wrong += 1;
      at += slab.bytes.length;
      peakBytes = Math.max(peakBytes, memory.inUseBytes);
      slab.release();
      if (isLeaving && pick(4) === 0) leaving.abort();
    }
    if (at !== expected.length) counts.wrong += 1;
  };
  const someExtent = (): { path: string; off: number; len: number } => {
    const off = pick(FILE_BYTES - 100 * KIB);
    return { path: `f${pick(FILES)}`, off, len: 1 + pick(100 * KIB) };
  };
  const keepReading = async (): Promise<void> => {
    while (performance.now() < endMs) {
      if (pick(12) === 0 && server.pending < 4) {
        server.fail(FAULTS[pick(FAULTS.length)]!);
        counts.faults += 1;
      }
      try {
        await read();
        counts.reads += 1;
      } catch (error) {
        if (!isSeekfsError(error)) throw error;
        if (error.code === 'interrupted') counts.aborts += 1;
        else counts.failures += 1;
      }
      const nowMs = performance.now();
      silenceMsMax = Math.max(silenceMsMax, nowMs - silentSinceMs);
      silentSinceMs = nowMs;
      // The log of the server is the test's own growth.
      server.log.length = 0;
    }
  };
  const samples: number[] = [];
  const readers = Promise.all(Array.from({ length: READERS }, keepReading));
  const stop = new AbortController();
  const sampling = (async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await systemClock.sleep(DURATION_MS / 20, stop.signal).catch(() => undefined);
      if (!stop.signal.aborted) samples.push(heldBytes());
    }
  })();
  await readers.finally(() => stop.abort());
  await sampling;
  await reader.close();
  await cache.drain();
  await claims.close();
  await cache.close();
  await store.close();
  await server.close();

  const heldMib = samples.map((sample) => Math.round(sample / MIB));
  const rssMib = Math.round(process.memoryUsage().rss / MIB);
  const hedges = metrics.get('seekfs_store_hedges_total');
  const report = {
    ...counts,
    hedges,
    silenceMsMax: Math.round(silenceMsMax),
    heldMib,
    rssMib,
    peakMib: peakBytes / MIB,
  };
  process.stdout.write(`mixed load: ${JSON.stringify(report)}\n`);
  expect(counts.wrong).toBe(0);
  expect(counts.faults, 'faults were met').toBeGreaterThan(DURATION_MS / 1000);
  expect(counts.reads).toBeGreaterThan(10 * counts.failures);
  expect(silenceMsMax).toBeLessThan(SILENCE_MS_MAX);
  expect(peakBytes).toBeLessThanOrEqual(MEMORY_BYTES);
  expect(memory.inUseBytes).toBe(0);
  expect(memory.waiting).toBe(0);
  expect(metrics.get('seekfs_store_inflight_gets')).toBe(0);
  // The first quarter fills pools and caches; from then on it is level.
  const level = Math.max(...samples.slice(5, 10));
  expect(Math.max(...samples.slice(15)) - level).toBeLessThan(GROWTH_BYTES_MAX);
});
