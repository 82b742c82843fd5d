import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryGovernor, SLAB_BYTES, type Slab } from '../../../src/lib/base/memory.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { L1 } from '../../../src/lib/cache/l1.ts';
import { GRANULE_BYTES, type CheckedPage } from '../../../src/lib/page/page.ts';

function page(pageId: number, overrides: Partial<CheckedPage> = {}): CheckedPage {
  const len = overrides.len ?? 8 * GRANULE_BYTES;
  const base = { kind: 'checked', ns: 'n', path: 'a.bin', identity: 'sha256:aa', crc32c: 0 } as const;
  return { ...base, pageId, off: pageId * len, len, ...overrides };
}

function setup(options: { slabs: number; governorSlabs?: number }): {
  l1: L1;
  governor: MemoryGovernor;
  metrics: Metrics;
  slab: (fill: number, length?: number) => Promise<Slab>;
  fill: (page: CheckedPage, granule: number, value?: number) => Promise<void>;
} {
  const governor = new MemoryGovernor({ limitBytes: (options.governorSlabs ?? options.slabs + 4) * SLAB_BYTES });
  const metrics = new Metrics();
  const l1 = new L1({ limitBytes: options.slabs * SLAB_BYTES, governor, metrics });
  const slab = async (value: number, length = GRANULE_BYTES): Promise<Slab> => {
    const [one] = (await governor.acquire([length], { lane: 'demand' }))!;
    one!.bytes.writeUInt32LE(value);
    return one!;
  };
  const fill = async (of: CheckedPage, granule: number, value = 0): Promise<void> => {
    const one = await slab(value);
    l1.put(of, granule, one);
    one.release();
  };
  return { l1, governor, metrics, slab, fill };
}

/** Reads one granule and reports whether it was there. */
function touch(l1: L1, of: CheckedPage, granule: number): boolean {
  const slab = l1.get(of, granule);
  slab?.release();
  return slab !== undefined;
}

describe('L1', () => {
  test('gives back the slab that was put, with a reference of its own', async () => {
    const { l1, governor, slab } = setup({ slabs: 4 });
    const one = await slab(7);
    l1.put(page(0), 3, one);
    one.release();
    const found = l1.get(page(0), 3)!;
    l1.drop(page(0), { first: 0, count: 8 });
    expect(governor.inUseBytes).toBe(SLAB_BYTES);
    expect(found.bytes.readUInt32LE()).toBe(7);
    found.release();
    expect(governor.inUseBytes).toBe(0);
  });

  test.each([
    ['another page', page(1)],
    ['another namespace', page(0, { ns: 'm' })],
    ['another path', page(0, { path: 'b.bin' })],
    ['another version of the file', page(0, { identity: 'sha256:bb' })],
  ])('%s is another entry, and dropping it leaves the first alone', async (_, other) => {
    const { l1, fill } = setup({ slabs: 4 });
    await fill(page(0), 1, 1);
    expect(l1.get(other, 1)).toBeUndefined();
    await fill(other, 1, 2);
    const both = [l1.get(page(0), 1)!, l1.get(other, 1)!];
    expect(both.map((slab) => slab.bytes.readUInt32LE())).toEqual([1, 2]);
    for (const slab of both) slab.release();
    l1.drop(other, { first: 1, count: 1 });
    expect([l1.has(page(0), 1), l1.has(other, 1)]).toEqual([true, false]);
  });

  test('refuses a slab that is not exactly the granule', async () => {
    const { l1, slab } = setup({ slabs: 4 });
    const short = await slab(1, 100);
    expect(() => l1.put(page(0), 0, short)).toThrow(RangeError);
    l1.put(page(0, { len: GRANULE_BYTES + 100 }), 1, short);
    expect(l1.bytes).toBe(SLAB_BYTES);
    short.release();
  });

  test('gives slabs back when a demand read would wait, and the reader gets them', async () => {
    const { l1, governor, metrics, fill } = setup({ slabs: 8, governorSlabs: 8 });
    for (let granule = 0; granule < 8; granule += 1) await fill(page(0), granule);
    expect(l1.bytes).toBe(8 * SLAB_BYTES);
    const slabs = (await governor.acquire([1, 1, 1], { lane: 'demand' }))!;
    expect(l1.bytes).toBe(5 * SLAB_BYTES);
    expect(metrics.get('seekfs_l1_bytes')).toBe(5 * SLAB_BYTES);
    expect(metrics.get('seekfs_l1_evictions_total')).toBe(3);
    for (const slab of slabs) slab.release();
  });

  test('a reader that holds slabs of L1 and waits for more gets what only L1 holds', async () => {
    const { l1, governor, fill } = setup({ slabs: 8, governorSlabs: 8 });
    for (let granule = 0; granule < 8; granule += 1) await fill(page(0), granule);
    const held = [0, 1, 2, 3, 4].map((granule) => l1.get(page(0), granule)!);
    const more = (await governor.acquire([1, 1, 1], { lane: 'demand' }))!;
    expect(more).toHaveLength(3);
    for (const slab of [...held, ...more]) slab.release();
  });

  test('after close it holds nothing and takes nothing', async () => {
    const { l1, governor, slab, fill } = setup({ slabs: 4 });
    await fill(page(0), 0);
    l1.close();
    expect(governor.inUseBytes).toBe(0);
    const late = await slab(1);
    l1.put(page(0), 0, late);
    late.release();
    expect([l1.bytes, governor.inUseBytes]).toEqual([0, 0]);
  });

  test('a limit of nothing caches nothing', async () => {
    const { l1, fill } = setup({ slabs: 0 });
    await fill(page(0), 0);
    expect(touch(l1, page(0), 0)).toBe(false);
  });

  test('a scan in small steps does not wash out what is hot', async () => {
    const slabs = 100;
    const { l1, fill } = setup({ slabs });
    const random = seededRandom(5);
    const hot = async (): Promise<boolean> => {
      const index = Math.floor(random.unit() * 64);
      const found = touch(l1, page(Math.floor(index / 8)), index % 8);
      if (!found) await fill(page(Math.floor(index / 8)), index % 8);
      return found;
    };
    const hitsOf = async (reads: number): Promise<number> => {
      let hits = 0;
      for (let read = 0; read < reads; read += 1) hits += (await hot()) ? 1 : 0;
      return hits;
    };
    // Something else passes by, so that there is pressure and the hot granules show themselves as hot.
    for (let other = 0; other < 400; other += 1) {
      await hitsOf(4);
      await fill(page(1000 + Math.floor(other / 8)), other % 8);
    }
    for (let granule = 0; granule < 10 * slabs; granule += 1) {
      const scanned = page(5000 + Math.floor(granule / 8));
      await fill(scanned, granule % 8);
      for (let step = 0; step < 32; step += 1) touch(l1, scanned, granule % 8);
    }
    expect(await hitsOf(64)).toBeGreaterThanOrEqual(60);
  });

  test('what is offered is there, also where the cache holds one granule and the main queue has it', async () => {
    const { l1, fill } = setup({ slabs: 1 });
    for (const [pageId, granule] of [
      [3, 7],
      [0, 0],
      [3, 7],
      [0, 1],
    ] as const) {
      await fill(page(pageId), granule);
      expect(l1.has(page(pageId), granule)).toBe(true);
    }
  });

  test('for any sequence: right bytes or a miss, the bound holds, and every slab comes back', async () => {
    const command = fc.record({
      kind: fc.constantFrom('put', 'put', 'put', 'get', 'get', 'drop', 'press'),
      pageId: fc.nat(3),
      granule: fc.nat(7),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 9 }),
        fc.array(command, { maxLength: 120 }),
        async (slabs, commands) => {
          const { l1, governor, fill } = setup({ slabs });
          for (const { kind, pageId, granule } of commands) {
            const value = pageId * 8 + granule;
            if (kind === 'put') {
              await fill(page(pageId), granule, value);
              expect(l1.has(page(pageId), granule)).toBe(true);
            } else if (kind === 'get') {
              const found = l1.get(page(pageId), granule);
              expect(found?.bytes.readUInt32LE() ?? value).toBe(value);
              found?.release();
            } else if (kind === 'drop') {
              l1.drop(page(pageId), { first: granule, count: 2 });
              expect(l1.has(page(pageId), granule)).toBe(false);
            } else {
              const all = (await governor.acquire(Array(slabs + 2).fill(1), { lane: 'demand' }))!;
              for (const slab of all) slab.release();
            }
            expect(l1.bytes).toBeLessThanOrEqual(slabs * SLAB_BYTES);
            expect(governor.inUseBytes).toBe(l1.bytes);
          }
          l1.close();
          expect(governor.inUseBytes).toBe(0);
        },
      ),
    );
  });
});
