import { describe, expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { KIB } from '../../../src/lib/base/units.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import type { PutCondition } from '../../../src/lib/objectstore/object-store.ts';
import { RetryingObjectStore } from '../../../src/lib/objectstore/retry.ts';
import { retryDelayMs, withRetries, type RetryPolicy } from '../../../src/lib/objectstore/retry-policy.ts';
import { describeObjectStore } from '../../support/object-store-conformance.ts';
import { getRangeBytes, listAll, patternBytes, patternSource } from '../../support/store-bytes.ts';
import { ScriptedStore, type Fault } from '../../support/scripted-store.ts';

/** Sleeps take no time here; what they would have taken is noted. */
function policyWith(attemptsMax = 3): RetryPolicy & { delays: number[]; retries: () => number } {
  const delays: number[] = [];
  let retries = 0;
  return {
    attemptsMax,
    initialBackoffMs: 100,
    random: seededRandom(1),
    clock: {
      nowMs: () => 0,
      monotonicMs: () => 0,
      uptimeMs: () => 0,
      sleep: (delayMs) => {
        delays.push(delayMs);
        return Promise.resolve();
      },
    },
    onRetry: () => {
      retries += 1;
    },
    delays,
    retries: () => retries,
  };
}

const broken = new SeekfsError('store_unavailable', 'broke off');
const gone = new SeekfsError('object_not_found', 'gone');

async function storeWith(faults: (Fault | undefined)[], sizeBytes = 300 * KIB) {
  const memory = new MemoryObjectStore();
  await memory.put({ key: 'k', source: patternSource(sizeBytes), condition: { kind: 'none' }, durable: false });
  const scripted = new ScriptedStore(memory, faults);
  const policy = policyWith();
  return { memory, scripted, policy, store: new RetryingObjectStore(scripted, policy) };
}

describeObjectStore('retry over memory', {
  open: () => Promise.resolve(new RetryingObjectStore(new MemoryObjectStore(), policyWith())),
  presign: 'usage',
});

describe('retryDelayMs', () => {
  test('is drawn from the whole of a doubling interval, and never below what the store asked for', () => {
    const policy = policyWith();
    for (let draw = 0; draw < 200; draw += 1) {
      expect(retryDelayMs(policy, 2, undefined)).toBeLessThan(100);
      expect(retryDelayMs(policy, 4, undefined)).toBeLessThan(400);
      expect(retryDelayMs(policy, 2, 5000)).toBe(5000);
      expect(retryDelayMs(policy, 40, undefined)).toBeLessThan(20_000);
    }
    expect(retryDelayMs(policy, 2, 10_000_000)).toBe(20_000);
  });
});

describe('withRetries', () => {
  test('gives up after its attempts, and at once on what no retry can mend', async () => {
    const policy = policyWith();
    for (const [error, attempts] of [
      [broken, 3],
      [gone, 1],
      [new SeekfsError('store_unavailable', 'for good', { retryable: false }), 1],
      [new TypeError('a defect'), 1],
    ] as const) {
      let calls = 0;
      const work = (): Promise<never> => {
        calls += 1;
        return Promise.reject(error);
      };
      await expect(withRetries(policy, {}, work)).rejects.toBe(error);
      expect(calls).toBe(attempts);
    }
  });
});

describe('RetryingObjectStore', () => {
  test('a ranged get goes on behind the last byte, from the same state of the object', async () => {
    const faults = [{ error: broken, after: 100 * KIB }, { error: broken }, { error: broken, after: 70 * KIB }];
    const { store, scripted, policy } = await storeWith(faults);
    const range = { off: 10, len: 250 * KIB };
    expect((await getRangeBytes(store, 'k', range)).equals(patternBytes(range))).toBe(true);
    expect(scripted.requests).toEqual([
      `GET 10+${250 * KIB}`,
      `GET ${100 * KIB + 10}+${150 * KIB} If-Match`,
      `GET ${100 * KIB + 10}+${150 * KIB} If-Match`,
      `GET ${170 * KIB + 10}+${80 * KIB} If-Match`,
    ]);
    expect(policy.retries()).toBe(3);
  });

  test('an object that was replaced between two attempts is object_changed, not a mixture', async () => {
    const { store, memory } = await storeWith([{ error: broken, after: 100 * KIB }]);
    const write = async (): Promise<void> => {
      await memory.put({ key: 'k', source: patternSource(300 * KIB), condition: { kind: 'none' }, durable: false });
    };
    const request = { key: 'k', range: { off: 0, len: 300 * KIB }, purpose: 'file' as const };
    await expect(store.getRange(request, { write })).rejects.toMatchObject({ code: 'object_changed' });
  });

  test('a get that always breaks off soon ends, and so does one that never brings anything', async () => {
    const { store, scripted } = await storeWith(Array.from({ length: 100 }, () => ({ error: broken, after: 10 })));
    await expect(getRangeBytes(store, 'k', { off: 0, len: 200 * KIB })).rejects.toBe(broken);
    expect(scripted.requests).toHaveLength(3);
  });

  test('a get whose last byte came before it failed is complete', async () => {
    const { store, scripted } = await storeWith([{ error: broken, after: 1000 }]);
    const range = { off: 5, len: 1000 };
    expect((await getRangeBytes(store, 'k', range)).equals(patternBytes(range))).toBe(true);
    expect(scripted.requests).toEqual(['GET 5+1000']);
  });

  test('a listing goes on behind its last key', async () => {
    const { store, memory, scripted } = await storeWith([{ error: broken, after: 700 }, { error: broken }, undefined]);
    for (let n = 0; n < 2500; n += 1) {
      const source = { kind: 'bytes', bytes: Buffer.alloc(0) } as const;
      await memory.put({ key: `l/${n}`, source, condition: { kind: 'none' }, durable: false });
    }
    const expected = (await listAll(memory, 'l/')).map(({ key }) => key);
    expect((await listAll(store, 'l/')).map(({ key }) => key)).toEqual(expected);
    expect(scripted.requests).toHaveLength(3);
    expect(scripted.requests[1]).toBe(`LIST ${expected[699]}`);
  });

  const ABSENT: PutCondition = { kind: 'absent' };
  const text = (bytes: string) => ({ kind: 'bytes', bytes: Buffer.from(bytes) }) as const;

  test('a conditional put whose answer was lost is recognised as its own', async () => {
    const { store, memory } = await storeWith([{ error: broken, carriedOut: true }]);
    const { etag } = await store.put({ key: 'new', source: text('mine'), condition: ABSENT, durable: true });
    expect((await memory.head({ key: 'new' })).etag).toBe(etag);
  });

  test('a conditional put that another writer was faster with is a conflict, lost answers or not', async () => {
    const { store, memory } = await storeWith([{ error: broken }]);
    await memory.put({ key: 'new', source: text('your'), condition: ABSENT, durable: true });
    const put = store.put({ key: 'new', source: text('mine'), condition: ABSENT, durable: true });
    await expect(put).rejects.toMatchObject({ code: 'precondition_failed' });
  });

  test('a conditional put of an object that others go on replacing is a conflict, also where that happens during the look', async () => {
    const { store, memory, scripted } = await storeWith([{ error: broken, carriedOut: true }]);
    const getRange = scripted.getRange.bind(scripted);
    scripted.getRange = async (request, sink) => {
      await memory.put({ key: 'new', source: text('next'), condition: { kind: 'none' }, durable: true });
      return getRange(request, sink);
    };
    const put = store.put({ key: 'new', source: text('mine'), condition: ABSENT, durable: true });
    await expect(put).rejects.toMatchObject({ code: 'precondition_failed' });
  });

  test('a conflict at the first attempt is not looked into', async () => {
    const { store, memory, scripted } = await storeWith([]);
    await memory.put({ key: 'new', source: text('mine'), condition: ABSENT, durable: true });
    const put = store.put({ key: 'new', source: text('mine'), condition: ABSENT, durable: true });
    await expect(put).rejects.toMatchObject({ code: 'precondition_failed' });
    expect(scripted.requests).toEqual(['PUT']);
  });

  test('stops between attempts when the signal is aborted', async () => {
    const { store } = await storeWith([{ error: broken }]);
    const stop = new AbortController();
    const write = (): void => undefined;
    const request = { key: 'k', range: { off: 0, len: 10 }, purpose: 'file' as const, signal: stop.signal };
    const getting = store.getRange(request, { write });
    stop.abort();
    await expect(getting).rejects.toMatchObject({ code: 'interrupted' });
  });
});
