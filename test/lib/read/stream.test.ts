import { afterEach, describe, expect, test } from 'vitest';
import type { ByteRange } from '../../../src/lib/base/byte-range.ts';
import { MemoryGovernor, type Slab } from '../../../src/lib/base/memory.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { L1 } from '../../../src/lib/cache/l1.ts';
import { createPageCache } from '../../../src/lib/cache/layered-cache.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';
import { closeBenches, failure, readBench } from '../../support/read-bench.ts';

afterEach(closeBenches);

describe('64 readers of 64 files under one limit', () => {
  test.each([
    [4 * MIB, 'granules'],
    [16 * MIB, 'pages'],
  ] as const)('hold it and none starves (%i bytes, %s)', async (memoryBytes, checksums) => {
    const { store, reader, memory } = readBench({ memoryBytes });
    const files = Array.from({ length: 64 }, (_, index) => ({
      path: `f${index}`,
      bytes: someBytes(2 * MIB, index),
      pageSizeBytes: 512 * KIB,
      checksums,
    }));
    const version = await publishBytes(store, files);
    let inUseBytesMax = 0;
    /** Slabs that all readers together got while this one waited for its next. */
    let taken = 0;
    let longestWait = 0;
    await Promise.all(
      files.map(async ({ path, bytes }) => {
        const entry = await version.lookup(path);
        let off = 0;
        let since = taken;
        for await (const slab of reader.stream(version, entry, { off: 0, len: bytes.length })) {
          longestWait = Math.max(longestWait, taken - since);
          taken += 1;
          inUseBytesMax = Math.max(inUseBytesMax, memory.inUseBytes);
          expect(slab.bytes.equals(bytes.subarray(off, off + slab.bytes.length))).toBe(true);
          off += slab.bytes.length;
          slab.release();
          since = taken;
        }
        expect(off).toBe(bytes.length);
      }),
    );
    expect(inUseBytesMax).toBeGreaterThan(memoryBytes / 4);
    expect(inUseBytesMax).toBeLessThanOrEqual(memoryBytes);
    // In turn: nobody waits for more than about two rounds of the others' loads.
    expect(longestWait).toBeLessThan(64 * 16);
  });

  test('a page that can only be verified whole and does not fit is refused, not waited for', async () => {
    const { store, reader } = readBench({ memoryBytes: 4 * MIB });
    const file = { path: 'a', bytes: someBytes(8 * MIB), pageSizeBytes: 4 * MIB, checksums: 'pages' as const };
    const version = await publishBytes(store, [file]);
    const entry = await version.lookup('a');
    const reading = (async () => {
      for await (const slab of reader.stream(version, entry, { off: 10, len: 10 })) slab.release();
    })();
    expect(await failure(reading)).toBe('overloaded');
    expect(store.gets.length).toBe(0);
  });

  test('a reader that nobody takes from keeps no other waiting, once it is broken off', async () => {
    const { store, reader, memory } = readBench({ memoryBytes: 2 * MIB });
    const bytes = someBytes(4 * MIB);
    const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
    const entry = await version.lookup('a');
    const stalled = Array.from({ length: 16 }, () => {
      const controller = new AbortController();
      const range = { off: 0, len: bytes.length };
      const slabs = reader.stream(version, entry, range, { signal: controller.signal })[Symbol.asyncIterator]();
      return { controller, slabs, first: slabs.next() };
    });
    const got = stalled.map(async ({ first }) => {
      const step = await first.catch(() => undefined);
      if (step && !step.done) step.value.release();
    });
    await Promise.race(got);
    // As a server that breaks off slow clients while others wait for memory.
    for (const { controller } of stalled) controller.abort();
    await Promise.all(got);
    for (const { slabs } of stalled) await slabs.return?.(undefined).catch(() => undefined);
    expect(memory.waiting).toBe(0);
    expect(memory.tickets.inUse).toBe(0);
  });
});

/** Slab by slab. */
async function* each(steps: AsyncIterable<readonly Slab[]>): AsyncGenerator<Slab> {
  for await (const slabs of steps) {
    let next = 0;
    try {
      while (next < slabs.length) yield slabs[next++]!;
    } finally {
      for (const slab of slabs.slice(next)) slab.release();
    }
  }
}

describe('an inline stream', () => {
  const bytes = someBytes(6 * MIB + 12_345);
  const file = { path: 'a', bytes, pageSizeBytes: 2 * MIB };

  /** Over a cache that answers at once. */
  async function inlineBench() {
    const memory = new MemoryGovernor({ limitBytes: 64 * MIB });
    const metrics = new Metrics();
    const cache = createPageCache({ l1: new L1({ limitBytes: 16 * MIB, governor: memory, metrics }), metrics });
    const { store, reader } = readBench({ deps: { memory, metrics, cache }, limits: { streamGetBytes: MIB } });
    const version = await publishBytes(store, [file]);
    const entry = await version.lookup('a');
    const general = (range: ByteRange) => reader.stream(version, entry, range);
    const steps = (range: ByteRange) => reader.streamInline(version, entry, range);
    const stream = (range: ByteRange) => each(steps(range));
    const saved = (): number => metrics.get('seekfs_store_gets_saved_total', { by: 'cache' });
    const close = async (): Promise<void> => {
      await reader.close();
      await cache.close();
      expect([memory.inUseBytes, memory.waiting]).toEqual([0, 0]);
    };
    return { store, memory, general, steps, stream, saved, close };
  }

  const whole = { off: 0, len: bytes.length };

  test('gives what the general way gives of ranges in memory, counts as it does, and takes nothing ahead', async () => {
    const { store, memory, general, stream, saved, close } = await inlineBench();
    await collect(stream(whole));
    const { length } = store.gets;
    const random = seededRandom(5);
    for (let round = 0; round < 40; round += 1) {
      const off = Math.floor(random.unit() * bytes.length);
      const range = { off, len: 1 + Math.floor(random.unit() * (bytes.length - off)) };
      const before = saved();
      expect((await collect(general(range))).equals(bytes.subarray(off, off + range.len))).toBe(true);
      const counted = saved() - before;
      let at = off;
      for await (const slab of stream(range)) {
        expect(memory.tickets.inUse).toBe(0);
        expect(slab.bytes.equals(bytes.subarray(at, at + slab.bytes.length))).toBe(true);
        at += slab.bytes.length;
        slab.release();
      }
      expect([at, saved() - before]).toEqual([off + range.len, 2 * counted]);
    }
    expect(store.gets.length).toBe(length);
    await close();
  });

  test('gives what it finds in memory in steps of a quarter of a megabyte, and a small range whole', async () => {
    const { steps, stream, close } = await inlineBench();
    await collect(stream(whole));
    const sizes = async (range: ByteRange): Promise<number[]> => {
      const found: number[] = [];
      for await (const slabs of steps(range)) {
        found.push(slabs.reduce((sum, slab) => sum + slab.bytes.length, 0));
        for (const slab of slabs) slab.release();
      }
      return found;
    };
    const step = 256 * KIB;
    expect(await sizes({ off: step - 5, len: MIB + step })).toEqual([5, step, step, step, step, step - 5]);
    expect(await sizes({ off: 100, len: MIB })).toEqual([MIB]);
    await close();
  });

  test('fetches what is not in memory, and only that', async () => {
    const { store, stream, saved, close } = await inlineBench();
    await collect(stream({ off: 0, len: 3 * MIB }));
    const { gotBytes } = store;
    const before = saved();
    expect((await collect(stream(whole))).equals(bytes)).toBe(true);
    expect(store.gotBytes - gotBytes).toBe(bytes.length - 3 * MIB);
    expect(saved() - before).toBe(3);
    await close();
  });

  test('leaves the event loop its turns, and nothing behind when it is left', async () => {
    const { stream, close } = await inlineBench();
    await collect(stream(whole));
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns += 1;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    for await (const slab of stream(whole)) slab.release();
    isOver = true;
    expect(turns).toBeGreaterThan(5);
    for await (const slab of stream(whole)) {
      slab.release();
      break;
    }
    await close();
  });

  test('that is aborted in the middle ends with interrupted', async () => {
    const { store, reader } = readBench();
    const version = await publishBytes(store, [file]);
    const entry = await version.lookup('a');
    await collect(reader.stream(version, entry, whole));
    const controller = new AbortController();
    const reading = async (): Promise<void> => {
      for await (const slab of each(reader.streamInline(version, entry, whole, { signal: controller.signal }))) {
        slab.release();
        controller.abort();
      }
    };
    expect(await failure(reading())).toBe('interrupted');
  });
});
