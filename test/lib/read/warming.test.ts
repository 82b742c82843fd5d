import { afterEach, expect, test } from 'vitest';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { closeBenches, failure, readBench } from '../../support/read-bench.ts';

afterEach(closeBenches);

test('a demand read that joins a speculative GET promotes it and waits for no other', async () => {
  const { store, reader } = readBench();
  const bytes = someBytes(2 * MIB);
  const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
  const entry = await version.lookup('a');
  let read: Promise<Buffer> | undefined;
  store.beforeGet = async ({ lane, promotion }) => {
    expect(lane).toBe('speculation');
    expect(promotion!.aborted).toBe(false);
    const promoted = new Promise<void>((resolve) => promotion!.addEventListener('abort', () => resolve()));
    read = collect(reader.stream(version, entry, { off: 100 * KIB, len: 300 * KIB }));
    await promoted;
  };
  await reader.warm(version, [{ entry, range: { off: 0, len: bytes.length } }]);
  expect((await read!).equals(bytes.subarray(100 * KIB, 400 * KIB))).toBe(true);
  expect(store.gets.length).toBe(1);
});

test('what has not begun when the time is over is dropped', async () => {
  const clock = manualClock();
  const { store, reader } = readBench({ limits: { rangeCoalesceMaxBytes: MIB }, deps: { clock } });
  const bytes = someBytes(16 * MIB);
  const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
  const entry = await version.lookup('a');
  store.beforeGet = () => {
    if (store.gets.length === 3) clock.advance(1000);
  };
  await reader.warm(version, [{ entry, range: { off: 0, len: bytes.length } }], { ttlMs: 500 });
  expect(store.gets.length).toBeGreaterThanOrEqual(3);
  expect(store.gets.length).toBeLessThan(16);
});

test('leaves what demand needs: under way it never takes more than three quarters of the memory', async () => {
  const { store, reader, memory } = readBench({ memoryBytes: 8 * MIB });
  const bytes = someBytes(24 * MIB);
  const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
  const entry = await version.lookup('a');
  let inUseBytesMax = 0;
  store.beforeGet = () => {
    inUseBytesMax = Math.max(inUseBytesMax, memory.inUseBytes);
  };
  let lastBytes = 0;
  await reader.warm(version, [{ entry, range: { off: 0, len: bytes.length } }], {
    onProgress: (progress) => {
      expect(progress.bytes).toBeGreaterThan(lastBytes);
      lastBytes = progress.bytes;
    },
  });
  expect(lastBytes).toBe(bytes.length);
  expect(inUseBytesMax).toBeGreaterThan(0);
  expect(inUseBytesMax).toBeLessThanOrEqual(6 * MIB);
});

test('the first failure ends it, and what is under way is not left behind', async () => {
  const { store, reader } = readBench({ limits: { rangeCoalesceMaxBytes: MIB } });
  const bytes = someBytes(8 * MIB);
  const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
  const entry = await version.lookup('a');
  store.spoil = (chunk, off) => {
    if (off === 2 * MIB) chunk[0]! ^= 1;
  };
  const range = { off: 0, len: bytes.length };
  expect(await failure(reader.warm(version, [{ entry, range }]))).toBe('page_corrupt');
  expect(store.active).toBe(0);
  expect(store.gets.length).toBeLessThan(8);
});
