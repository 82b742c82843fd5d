import { setImmediate } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { isSeekfsError } from '../../../src/lib/base/errors.ts';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import type { PinnedVersion } from '../../../src/lib/manifest/types.ts';
import type { GetRangeRequest } from '../../../src/lib/objectstore/object-store.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import type { WarmOptions } from '../../../src/lib/read/reader.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { closeBenches, readBench, type ReadBench } from '../../support/read-bench.ts';

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
