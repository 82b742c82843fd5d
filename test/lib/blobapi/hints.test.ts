import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { HintQueue } from '../../../src/lib/blobapi/hints.ts';
import { VersionLease } from '../../../src/lib/blobapi/versions.ts';
import type { PinnedVersion } from '../../../src/lib/manifest/types.ts';
import type { GetRangeRequest } from '../../../src/lib/objectstore/object-store.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { manualClock, type ManualClock } from '../../support/manual-clock.ts';
import { closeBenches, readBench, type ReadBench } from '../../support/read-bench.ts';

const GET_BYTES = 2 * MIB;
const FILE_BYTES = 10 * MIB;
const bytes = someBytes(FILE_BYTES);
const names = Array.from({ length: 10 }, (_, index) => `f${index}`);

let bench: ReadBench;
let version: PinnedVersion;
let clock: ManualClock;
let hints: HintQueue;
let released: number;
/** GETs in the order in which they arrive; held until `open`. */
let gets: GetRangeRequest[];
let open: () => void;

/** Of a version that the test goes on with. */
class CountedLease extends VersionLease {
  override release(): void {
    released += 1;
  }
}

beforeEach(async () => {
  clock = manualClock();
  bench = readBench({ limits: { rangeCoalesceMaxBytes: GET_BYTES }, deps: { clock } });
  version = await publishBytes(
    bench.store,
    names.map((path) => ({ path, bytes, pageSizeBytes: 8 * MIB })),
  );
  gets = [];
  released = 0;
  const opened = new Promise<void>((resolve) => (open = resolve));
  bench.store.beforeGet = (request) => {
    gets.push(request);
    return opened;
  };
  const { reader, metrics } = bench;
  const log = { log: (_: unknown, message: string) => void bench.warnings.push(message) };
  hints = new HintQueue({ reader: () => Promise.resolve(reader), metrics, log, clock });
});

afterEach(async () => {
  open();
  await hints.close();
  expect(bench.warnings).toEqual([]);
  await closeBenches();
});

async function hint(path: string, more: { epoch?: number; priority?: number; ttlMs?: number } = {}): Promise<void> {
  const lease = new CountedLease(version);
  const windows = [{ path, ranges: [{ off: 0, len: FILE_BYTES }] }];
  await hints.add(lease, { ns: undefined, epoch: 1, priority: 0, ttlMs: undefined, windows, ...more });
  await setImmediate();
}

async function read(path: string, off = 5 * MIB): Promise<void> {
  const entry = await version.lookup(path);
  const got = await collect(bench.reader.stream(version, entry, { off, len: 100 * KIB }));
  expect(got.equals(bytes.subarray(off, off + 100 * KIB))).toBe(true);
}

/** Of the GETs from the `from`th on. */
const asked = (from: number): string[] =>
  gets
    .slice(from)
    .map(({ key, range }) => `${key.slice(key.lastIndexOf('/') + 1)} ${range.off / MIB} ${range.len / MIB}`);

describe('a demand read that falls into', () => {
  test('a hint behind the running one begins its large GET at once', async () => {
    await hint('f0');
    expect(gets.length).toBe(4);
    for (const path of ['f1', 'f2']) await hint(path);
    expect(gets.length).toBe(4);
    const reads = [read('f2'), read('f1')];
    await setImmediate();
    expect(asked(4)).toEqual(['f2 4 2', 'f1 4 2']);
    expect(gets.slice(4).every(({ promotion }) => promotion!.aborted)).toBe(true);
    open();
    await Promise.all(reads);
    await hints.close();
    // Nothing came twice.
    expect(released).toBe(3);
    expect(bench.store.gotBytes).toBeLessThanOrEqual(3 * FILE_BYTES);
  });

  test('a hint far behind the running one brings its own bytes', async () => {
    for (const path of names) await hint(path);
    const reading = read(names.at(-1)!);
    await setImmediate();
    expect(asked(4)).toEqual(['f9 5 0.125']);
    open();
    await reading;
  });

  test('a hint that waited beyond its time brings its own bytes', async () => {
    await hint('f0');
    await hint('f1', { ttlMs: 100 });
    clock.advance(101);
    const reading = read('f1');
    await setImmediate();
    expect(asked(4)).toEqual(['f1 5 0.125']);
    open();
    await reading;
  });

  test('a hint of an epoch that is over brings its own bytes, and one that came before the end is answered', async () => {
    await hint('f0');
    await hint('f1');
    const early = read('f1');
    await setImmediate();
    await hint('f2', { epoch: 2 });
    expect(released).toBe(1);
    const late = read('f1', 9 * MIB);
    await setImmediate();
    expect(asked(4)).toEqual(['f1 4 2', 'f1 9 0.125']);
    open();
    await Promise.all([early, late]);
  });
});

test('hints run one after the other, the higher priority first, also where they were planned before', async () => {
  await hint('f0');
  await hint('f1');
  await hint('f2', { priority: 1 });
  open();
  await vi.waitFor(() => expect(released).toBe(3), { timeout: 10_000 });
  const files = gets.map(({ key }) => key.slice(key.lastIndexOf('/') + 1));
  expect([...new Set(files)]).toEqual(['f0', 'f2', 'f1']);
  expect(files.length).toBe((3 * FILE_BYTES) / GET_BYTES);
});

test('a hint whose time is over before its turn is dropped, and one that has some left may use that', async () => {
  await hint('f0');
  await hint('f1', { ttlMs: 500 });
  await hint('f2', { ttlMs: 1000 });
  clock.advance(600);
  open();
  await vi.waitFor(() => expect(released).toBe(3), { timeout: 10_000 });
  const files = gets.map(({ key }) => key.slice(key.lastIndexOf('/') + 1));
  expect([...new Set(files)]).toEqual(['f0', 'f2']);
});
