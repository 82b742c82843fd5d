import { describe, expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { ForwardingObjectStore } from '../../../src/lib/objectstore/forwarding.ts';
import { GetGate } from '../../../src/lib/objectstore/get-gate.ts';
import { HedgedObjectStore } from '../../../src/lib/objectstore/hedge.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import type { GetRangeRequest, ObjectHead, RangeSink } from '../../../src/lib/objectstore/object-store.ts';
import { FaultyS3 } from '../../support/faulty-s3.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { describeObjectStore } from '../../support/object-store-conformance.ts';
import { openS3Store } from '../../support/s3-store.ts';
import { getRangeBytes } from '../../support/store-bytes.ts';

const BYTES = Buffer.from('the right bytes');
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

interface Held {
  readonly signal: AbortSignal;
  /** The answer begins. */
  head(): void;
  body(): void;
  fail(error: SeekfsError): void;
}

/** Its GETs wait for the test, or answer at once. */
class HeldStore extends ForwardingObjectStore {
  readonly held: Held[] = [];
  gets = 0;
  isFast = true;

  override getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    this.gets += 1;
    const head: ObjectHead = { key: request.key, sizeBytes: BYTES.length, etag: '"e"', modifiedAtMs: 0 };
    if (this.isFast) {
      request.onHead?.(head);
      void sink.write(BYTES);
      return Promise.resolve(head);
    }
    return new Promise((resolve, reject) => {
      const guarded = (work: () => void): void => {
        try {
          work();
        } catch (error) {
          reject(error);
        }
      };
      request.signal!.addEventListener('abort', () => reject(new SeekfsError('interrupted', 'aborted')));
      this.held.push({
        signal: request.signal!,
        head: () => guarded(() => request.onHead?.(head)),
        body: () => guarded(() => resolve(Promise.resolve(sink.write(BYTES)).then(() => head))),
        fail: reject,
      });
    });
  }
}

/** After enough fast GETs to know what is slow. */
async function hedged(options: { fastGets?: number; getsPerSecond?: number } = {}) {
  const clock = manualClock();
  const metrics = new Metrics();
  const gate = new GetGate({ getsPerSecond: options.getsPerSecond ?? Infinity, inflightMax: 100, clock, metrics });
  const inner = new HeldStore(new MemoryObjectStore());
  const store = new HedgedObjectStore(inner, { gate, clock, metrics });
  const get = (more: Partial<GetRangeRequest> = {}) => {
    const got: Buffer[] = [];
    const heads: ObjectHead[] = [];
    const request = { key: 'k', range: { off: 0, len: BYTES.length }, purpose: 'file', ...more } as const;
    const done = store
      .getRange(
        { ...request, onHead: (head) => heads.push(head) },
        { write: (chunk) => void got.push(Buffer.from(chunk)) },
      )
      .then(
        () => Buffer.concat(got).toString(),
        (error: SeekfsError) => error.code,
      );
    return { done, heads };
  };
  for (let n = 0; n < (options.fastGets ?? 100); n += 1) await get().done;
  inner.isFast = false;
  inner.gets = 0;
  const counts = (): { sent: number; won: number } => ({
    sent: metrics.get('seekfs_store_hedges_total'),
    won: metrics.get('seekfs_store_hedges_won_total'),
  });
  return { clock, metrics, gate, inner, store, get, counts };
}

describeObjectStore('hedge over memory', {
  open: async () => {
    const [clock, metrics] = [manualClock(), new Metrics()];
    const gate = new GetGate({ getsPerSecond: Infinity, inflightMax: 16, clock, metrics });
    return new HedgedObjectStore(new MemoryObjectStore(), { gate, clock, metrics });
  },
  presign: 'usage',
});

describe('HedgedObjectStore', () => {
  test('sends a GET again whose answer is slower than nearly all of late, and takes whose begins first', async () => {
    const { clock, inner, get, counts } = await hedged();
    const { done, heads } = get();
    clock.advance(4);
    await settled();
    expect(inner.gets).toBe(1);
    clock.advance(2);
    await settled();
    expect(inner.gets).toBe(2);
    const [first, second] = inner.held;
    second!.head();
    expect(first!.signal.aborted).toBe(true);
    second!.body();
    expect(await done).toBe(BYTES.toString());
    expect(heads).toHaveLength(1);
    expect(counts()).toEqual({ sent: 1, won: 1 });
  });

  test('the first one may still win', async () => {
    const { clock, inner, get, counts, metrics } = await hedged();
    const { done, heads } = get();
    clock.advance(10);
    await settled();
    const [first, second] = inner.held;
    first!.head();
    expect(second!.signal.aborted).toBe(true);
    first!.body();
    expect(await done).toBe(BYTES.toString());
    expect(heads).toHaveLength(1);
    await settled();
    expect(counts()).toEqual({ sent: 1, won: 0 });
    expect(metrics.get('seekfs_store_inflight_gets')).toBe(0);
  });

  test('a late answer of the loser reaches nobody', async () => {
    const { clock, inner, get } = await hedged();
    const { done, heads } = get();
    clock.advance(10);
    await settled();
    const [first, second] = inner.held;
    second!.head();
    first!.head();
    first!.body();
    second!.body();
    expect(await done).toBe(BYTES.toString());
    expect(heads).toHaveLength(1);
  });

  test.each([
    ['store_unavailable', BYTES.toString()],
    ['store_throttled', 'store_throttled'],
    ['access_denied', 'access_denied'],
  ] as const)('when the first one fails with %s the outcome is %s', async (code, outcome) => {
    const { clock, inner, get } = await hedged();
    const { done } = get();
    clock.advance(10);
    await settled();
    const [first, second] = inner.held;
    first!.fail(new SeekfsError(code, 'scripted'));
    await settled();
    second!.head();
    second!.body();
    expect(await done).toBe(outcome);
  });

  test('when the second one fails the first goes on, and a 503 lowers the rate', async () => {
    const { clock, inner, get, metrics } = await hedged({ getsPerSecond: 1000 });
    const { done } = get();
    clock.advance(10);
    await settled();
    const [first, second] = inner.held;
    second!.fail(new SeekfsError('store_throttled', 'slow down'));
    await settled();
    first!.head();
    first!.body();
    expect(await done).toBe(BYTES.toString());
    expect(metrics.get('seekfs_store_throttled_total')).toBe(1);
  });

  test('who leaves breaks both off', async () => {
    const { clock, inner, get } = await hedged();
    const leaving = new AbortController();
    const { done } = get({ signal: leaving.signal });
    clock.advance(10);
    await settled();
    leaving.abort();
    expect(await done).toBe('interrupted');
    expect(inner.held.map(({ signal }) => signal.aborted)).toEqual([true, true]);
  });

  test.each<[string, { fastGets?: number; getsPerSecond?: number }, Partial<GetRangeRequest>]>([
    ['too little was seen', { fastGets: 99 }, {}],
    ['the share of 2 % is not earned yet', { fastGets: 40 }, {}],
    ['the budget is exhausted', { getsPerSecond: 0.5 }, {}],
    ['it is speculation', {}, { lane: 'speculation', promotion: new AbortController().signal }],
  ])('sends none where %s', async (_why, options, request) => {
    const { clock, inner, gate, get } = await hedged(options);
    if (options.getsPerSecond !== undefined) await gate.admit({ lane: 'demand' });
    const { done } = get(request);
    clock.advance(1000);
    await settled();
    expect(inner.gets).toBe(1);
    inner.held[0]!.head();
    inner.held[0]!.body();
    expect(await done).toBe(BYTES.toString());
  });

  test('sends none while the store asks to slow down', async () => {
    const { clock, inner, gate, get } = await hedged();
    gate.throttled();
    const { done } = get();
    clock.advance(1000);
    await settled();
    expect(inner.gets).toBe(1);
    inner.held[0]!.head();
    inner.held[0]!.body();
    await done;
  });

  test('sends at most 2 % more, however many are slow', async () => {
    const { clock, inner, get, counts } = await hedged({ fastGets: 500 });
    const done = Array.from({ length: 500 }, () => get().done);
    clock.advance(1000);
    await settled();
    expect(counts().sent).toBe(10);
    for (const one of inner.held.slice(0, 500)) one.head();
    for (const one of inner.held.slice(0, 500)) one.body();
    expect(new Set(await Promise.all(done))).toEqual(new Set([BYTES.toString()]));
    expect(counts().sent).toBeLessThanOrEqual(0.02 * 1000);
  });
});

test.each(['sdk', 'undici'] as const)(
  'over the %s engine an answer that never comes costs no retry',
  async (engine) => {
    const server = await new FaultyS3().listen();
    server.objects.set('k', BYTES);
    const metrics = new Metrics();
    const store = openS3Store(server.options(), { engine, metrics, hedgeSlowGets: true, retryMaxAttempts: 1 });
    const range = { off: 4, len: 5 };
    for (let n = 0; n < 100; n += 1) await getRangeBytes(store, 'k', range);
    const before = metrics.get('seekfs_store_hedges_won_total');
    server.fail({ kind: 'slow first byte' });
    expect((await getRangeBytes(store, 'k', range)).toString()).toBe('right');
    expect(metrics.get('seekfs_store_hedges_won_total')).toBe(before + 1);
    expect(server.count('GET')).toBe(101 + metrics.get('seekfs_store_hedges_total'));
    await store.close();
    await server.close();
  },
);
