import { describe, expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { BudgetedObjectStore } from '../../../src/lib/objectstore/budget.ts';
import { GetGate } from '../../../src/lib/objectstore/get-gate.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import { describeObjectStore } from '../../support/object-store-conformance.ts';
import { getRangeBytes } from '../../support/store-bytes.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { ScriptedStore } from '../../support/scripted-store.ts';

function budgeted(
  inner: MemoryObjectStore | ScriptedStore,
  getsPerSecond = Infinity,
  inflightMax = 16,
  bytesPerSecond?: number,
) {
  const metrics = new Metrics();
  const clock = manualClock();
  const gate = new GetGate({ getsPerSecond, inflightMax, bytesPerSecond, clock, metrics });
  return { metrics, clock, store: new BudgetedObjectStore(inner, gate) };
}

describeObjectStore('budget over memory', {
  open: () => Promise.resolve(budgeted(new MemoryObjectStore()).store),
  presign: 'usage',
});

async function memoryWithObject(): Promise<MemoryObjectStore> {
  const memory = new MemoryObjectStore();
  const source = { kind: 'bytes', bytes: Buffer.alloc(100) } as const;
  await memory.put({ key: 'k', source, condition: { kind: 'none' }, durable: false });
  return memory;
}

describe('BudgetedObjectStore', () => {
  test('sends no more GETs at once than the cap, and gives the turn back whatever happens', async () => {
    const { store, metrics } = budgeted(await memoryWithObject(), Infinity, 3);
    let [now, most] = [0, 0];
    const write = async (): Promise<void> => {
      now += 1;
      most = Math.max(most, now);
      await new Promise((resolve) => void setImmediate(resolve));
      now -= 1;
      if (most % 2 === 0) throw new SeekfsError('page_corrupt', 'no');
    };
    const request = { key: 'k', range: { off: 0, len: 100 }, purpose: 'file' as const };
    await Promise.allSettled(Array.from({ length: 20 }, () => store.getRange(request, { write })));
    expect(most).toBe(3);
    expect(metrics.get('seekfs_store_inflight_gets')).toBe(0);
  });

  test('pays for the bytes that arrived, also of a GET that failed', async () => {
    const broken = { error: new SeekfsError('store_unavailable', 'broke off'), after: 10 };
    const { store } = budgeted(new ScriptedStore(await memoryWithObject(), [broken]), Infinity, 16, 200);
    await expect(getRangeBytes(store, 'k', { off: 0, len: 100 })).rejects.toMatchObject({ code: 'store_unavailable' });
    await getRangeBytes(store, 'k', { off: 0, len: 100 });
    // 110 of the 200 are spent.
    expect(store.exhausted).toBeUndefined();
    await getRangeBytes(store, 'k', { off: 0, len: 100 });
    expect(store.exhausted).toBe('bytes');
  });

  test('a throttling answer lowers the rate', async () => {
    const slow = { error: new SeekfsError('store_throttled', 'slow down') };
    const { store, metrics } = budgeted(new ScriptedStore(await memoryWithObject(), [slow]), 100);
    await expect(getRangeBytes(store, 'k', { off: 0, len: 1 })).rejects.toMatchObject({ code: 'store_throttled' });
    expect(metrics.get('seekfs_store_get_rate_limit')).toBe(50);
  });
});
