import { afterEach, describe, expect, test } from 'vitest';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { publishBytes, someBytes } from '../../support/data-set.ts';
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
