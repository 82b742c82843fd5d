import { setImmediate as turn } from 'node:timers/promises';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Semaphore } from '../../../src/lib/base/semaphore.ts';

describe('Semaphore', () => {
  test('grants in order of arrival: a small request does not overtake a large one', async () => {
    const semaphore = new Semaphore(2);
    const first = await semaphore.acquire();
    const order: string[] = [];
    const large = semaphore.acquire({ permits: 2 }).then((release) => (order.push('large'), release));
    const small = semaphore.acquire().then((release) => (order.push('small'), release));
    await turn();
    expect([order, semaphore.waiting, semaphore.inUse]).toEqual([[], 2, 1]);
    first();
    (await large)();
    (await small)();
    expect([order, semaphore.inUse]).toEqual([['large', 'small'], 0]);
  });

  test('a small request waits behind a large one, also when there is room for it alone', async () => {
    const semaphore = new Semaphore(3);
    const releases = [await semaphore.acquire(), await semaphore.acquire({ permits: 2 })];
    const order: string[] = [];
    const large = semaphore.acquire({ permits: 3 }).then((release) => (order.push('large'), release));
    const small = semaphore.acquire().then((release) => (order.push('small'), release));
    releases[0]!();
    await turn();
    expect([order, semaphore.inUse]).toEqual([[], 2]);
    releases[1]!();
    (await large)();
    (await small)();
    expect([order, semaphore.inUse]).toEqual([['large', 'small'], 0]);
  });

  test('an aborted wait rejects, takes nothing, and lets those behind it pass', async () => {
    const semaphore = new Semaphore(2);
    const first = await semaphore.acquire();
    const abort = new AbortController();
    const large = semaphore.acquire({ permits: 2, signal: abort.signal });
    const small = semaphore.acquire();
    abort.abort();
    await expect(large).rejects.toMatchObject({ code: 'interrupted' });
    (await small)();
    first();
    expect([semaphore.inUse, semaphore.waiting]).toEqual([0, 0]);
    await expect(semaphore.acquire({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'interrupted' });
  });

  test('giving back twice gives back once', async () => {
    const semaphore = new Semaphore(3);
    const release = await semaphore.acquire();
    await semaphore.acquire();
    release();
    release();
    expect(semaphore.inUse).toBe(1);
  });

  test('more than the capacity is granted when everything is free', async () => {
    const semaphore = new Semaphore(2);
    (await semaphore.acquire({ permits: 5 }))();
    expect(semaphore.inUse).toBe(0);
  });

  test.each([0, -1, Number.NaN])('a capacity of %d is refused', (capacity) => {
    expect(() => new Semaphore(capacity)).toThrow(RangeError);
  });

  test('for any schedule of requests, releases and aborts it never grants too much and ends free', async () => {
    const step = fc.record({
      permits: fc.integer({ min: 1, max: 4 }),
      fate: fc.constantFrom('hold', 'abort', 'release'),
    });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 40 }), async (capacity, steps) => {
        const semaphore = new Semaphore(capacity);
        const held: (() => void)[] = [];
        const settled: Promise<unknown>[] = [];
        for (const { permits, fate } of steps) {
          const abort = new AbortController();
          settled.push(
            semaphore.acquire({ permits, signal: abort.signal }).then(
              (release) => held.push(release),
              () => undefined,
            ),
          );
          if (fate === 'abort') abort.abort();
          if (fate === 'release') held.shift()?.();
          await turn();
          expect(semaphore.inUse).toBeLessThanOrEqual(capacity);
          if (semaphore.waiting > 0) expect(semaphore.inUse).toBeGreaterThan(0);
        }
        while (semaphore.inUse > 0) {
          held.shift()!();
          await turn();
        }
        await Promise.all(settled);
        expect([semaphore.waiting, held.length]).toEqual([0, 0]);
      }),
    );
  });
});
