import { expect, test } from 'vitest';
import { silentLogger } from '../../../src/lib/base/log.ts';
import { MemoryGovernor, SLAB_BYTES } from '../../../src/lib/base/memory.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { packCached } from '../../../src/lib/blobapi/packing.ts';
import { L1 } from '../../../src/lib/cache/l1.ts';
import { createPageCache } from '../../../src/lib/cache/layered-cache.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import { createReader } from '../../../src/lib/read/open-reader.ts';
import { collect, publishBytes, someBytes } from '../../support/data-set.ts';

test('what is small and at hand is packed, slab by slab; what is large or missing is left, and all memory comes back', async () => {
  const store = new MemoryObjectStore();
  const metrics = new Metrics();
  const memory = new MemoryGovernor({ limitBytes: 32 * MIB });
  const l1 = new L1({ limitBytes: 8 * MIB, governor: memory, metrics });
  const cache = createPageCache({ l1, metrics });
  const reader = createReader({
    store: () => Promise.resolve(store),
    cache,
    memory,
    metrics,
    log: silentLogger,
    limits: { rangeCoalesceMaxBytes: 32 * MIB, requireChecksums: false },
  });
  const bytes = someBytes(4 * MIB);
  const version = await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: MIB }]);
  const entry = await version.lookup('a');
  await collect(reader.readv(version, [{ path: 'a', off: 0, len: 3 * MIB }]));
  const restingBytes = memory.inUseBytes;

  const extent = (
    off: number,
    len: number,
  ): { entry: typeof entry; extent: { path: string; off: number; len: number } } => ({
    entry,
    extent: { path: 'a', off, len },
  });
  const small = Array.from({ length: 40 }, (_, index) => extent(index * 70_001, 4 * KIB));
  const found = [...small, extent(5, 0), extent(9, 64 * KIB), extent(17, 8), extent(3 * MIB + 5, 8), extent(0, 1)];
  const deps = { reader, version, memory };
  const packed: Buffer[] = [];
  const ends: number[] = [];
  for (let next = 0; ;) {
    const { slab, end } = packCached(deps, found, next);
    next = end;
    if (!slab) break;
    ends.push(end);
    packed.push(Buffer.from(slab.bytes));
    slab.release();
  }
  expect(ends, 'a slab has room for 32 extents of 4 KiB; the large one ends it').toEqual([SLAB_BYTES / (4 * KIB), 41]);
  const wanted = small.map(({ extent: { off, len } }) => bytes.subarray(off, off + len));
  expect(Buffer.concat(packed).equals(Buffer.concat(wanted))).toBe(true);
  const last = packCached(deps, found, 42);
  expect(last.end, 'what is missing ends it').toBe(43);
  last.slab?.release();
  expect(memory.inUseBytes).toBe(restingBytes);
  await reader.close();
  await cache.close();
});
