import { describe, expect, test } from 'vitest';
import type { SeekfsError } from '../../../src/lib/base/errors.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { GetGate, type AdmitRequest, type GetIsOver } from '../../../src/lib/objectstore/get-gate.ts';
import { manualClock } from '../../support/manual-clock.ts';

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function gateWith(options: {
  getsPerSecond?: number;
  inflightMax?: number;
  getsPerDayMax?: number;
  bytesPerSecond?: number;
  deadlineMs?: number;
}) {
  const clock = manualClock();
  const metrics = new Metrics();
  const gate = new GetGate({ getsPerSecond: Infinity, inflightMax: 1000, ...options, clock, metrics });
  const log: string[] = [];
  const open: GetIsOver[] = [];
  const admit = (name: string, request: AdmitRequest = { lane: 'demand' }): void => {
    void (async () => {
      try {
        open.push(await gate.admit(request));
        log.push(name);
      } catch (error) {
        log.push(`${name}: ${(error as SeekfsError).code}`);
      }
    })();
  };
  return { clock, metrics, gate, log, open, admit };
}

describe('GetGate', () => {
  test('holds the rate: a burst of one second, then one by one', async () => {
    const { clock, log, admit } = gateWith({ getsPerSecond: 4 });
    for (let n = 0; n < 10; n += 1) admit(String(n));
    await settled();
    expect(log).toHaveLength(4);
    clock.advance(250);
    await settled();
    expect(log).toHaveLength(5);
    for (let step = 0; step < 8; step += 1) {
      clock.advance(250);
      await settled();
    }
    expect(log).toHaveLength(10);
  });

  test('holds the cap of what is in flight', async () => {
    const { metrics, log, open, admit } = gateWith({ inflightMax: 2 });
    for (const name of ['a', 'b', 'c', 'd']) admit(name);
    await settled();
    expect(log).toEqual(['a', 'b']);
    expect(metrics.get('seekfs_store_inflight_gets')).toBe(2);
    expect(metrics.get('seekfs_store_waiting_gets', { lane: 'demand' })).toBe(2);
    open[0]!();
    open[0]!();
    await settled();
    expect(log).toEqual(['a', 'b', 'c']);
    open[1]!();
    open[2]!();
    await settled();
    open[3]!();
    expect(metrics.get('seekfs_store_inflight_gets')).toBe(0);
  });

  test('what waited for the cap waits for the next token, once the store has asked to slow down, and no longer', async () => {
    const { clock, gate, log, open, admit } = gateWith({ getsPerSecond: 4, inflightMax: 2 });
    for (const name of ['a', 'b', 'c']) admit(name);
    await settled();
    gate.throttled();
    open[0]!();
    open[1]!();
    await settled();
    expect(log).toEqual(['a', 'b']);
    // Two a second now.
    clock.advance(500);
    await settled();
    expect(log).toEqual(['a', 'b', 'c']);
  });

  test('lets demand go before speculation, and a promoted GET with demand', async () => {
    const { log, open, admit } = gateWith({ inflightMax: 1 });
    const promotion = new AbortController();
    admit('first');
    admit('speculation 1', { lane: 'speculation' });
    admit('speculation 2', { lane: 'speculation', promotion: promotion.signal });
    admit('demand 1');
    promotion.abort();
    admit('demand 2');
    for (let turn = 0; turn < 5; turn += 1) {
      await settled();
      open.at(-1)!();
    }
    expect(log).toEqual(['first', 'demand 1', 'speculation 2', 'demand 2', 'speculation 1']);
  });

  test('a GET whose signal is aborted leaves the queue', async () => {
    const { metrics, log, open, admit } = gateWith({ inflightMax: 1 });
    const stop = new AbortController();
    admit('a');
    admit('b', { lane: 'demand', signal: stop.signal });
    admit('c');
    stop.abort();
    await settled();
    open[0]!();
    await settled();
    expect(log).toEqual(['a', 'b: interrupted', 'c']);
    expect(metrics.get('seekfs_store_waiting_gets', { lane: 'demand' })).toBe(0);
  });

  test('refuses what waited past the deadline, and only that', async () => {
    const { clock, metrics, log, admit } = gateWith({ inflightMax: 1, deadlineMs: 1000 });
    admit('a');
    admit('b');
    await settled();
    clock.advance(900);
    admit('c');
    await settled();
    clock.advance(100);
    await settled();
    expect(log).toEqual(['a', 'b: store_throttled']);
    expect(metrics.get('seekfs_store_refused_total')).toBe(1);
    clock.advance(900);
    await settled();
    expect(log).toEqual(['a', 'b: store_throttled', 'c: store_throttled']);
  });

  test('a ceiling a day refuses at once, until the next day', async () => {
    const { clock, log, admit } = gateWith({ getsPerDayMax: 2 });
    for (const name of ['a', 'b', 'c']) admit(name);
    await settled();
    expect(log.sort()).toEqual(['a', 'b', 'c: store_throttled']);
    clock.advance(86_400_000);
    admit('d');
    await settled();
    expect(log).toContain('d');
  });

  test('a ceiling a day is not lifted by a clock that is set over midnight and back, nor by one that was days off', async () => {
    const { clock, log, admit } = gateWith({ getsPerDayMax: 1 });
    const hourMs = 3_600_000;
    clock.set(24 * hourMs - (clock.nowMs() % (24 * hourMs)) + hourMs / 2);
    const admitted = async (name: string): Promise<boolean> => {
      admit(name);
      await settled();
      return log.at(-1) === name;
    };
    expect(await admitted('half past midnight')).toBe(true);
    for (const hours of [-1, 1, -1, 1]) {
      clock.set(hours * hourMs);
      expect(await admitted(`set by ${hours} h`)).toBe(false);
    }
    clock.set(-240 * hourMs);
    expect(await admitted('set to ten days before')).toBe(false);
    clock.advance(24 * hourMs);
    expect(await admitted('the day after that')).toBe(true);
  });

  test('a store that throttles halves the rate once for a burst of refusals, and gets it back', async () => {
    const { clock, metrics, gate, log, admit } = gateWith({ getsPerSecond: 100 });
    for (let n = 0; n < 20; n += 1) gate.throttled();
    expect(metrics.get('seekfs_store_get_rate_limit')).toBe(50);
    expect(metrics.get('seekfs_store_throttled_total')).toBe(20);
    clock.advance(1500);
    gate.throttled();
    expect(metrics.get('seekfs_store_get_rate_limit')).toBeLessThan(30);
    admit('waits for the lower rate');
    await settled();
    expect(log).toEqual([]);
    clock.advance(100);
    await settled();
    expect(log).toHaveLength(1);
    clock.advance(30_000);
    admit('at the full rate again');
    await settled();
    expect(metrics.get('seekfs_store_get_rate_limit')).toBe(100);
  });

  test('shortly before midnight a GET over the ceiling waits for the next day', async () => {
    const { clock, log, admit } = gateWith({ getsPerDayMax: 1, deadlineMs: 60_000 });
    const untilMidnightMs = 86_400_000 - (clock.nowMs() % 86_400_000);
    clock.advance(untilMidnightMs - 30_000);
    admit('a');
    admit('b');
    await settled();
    expect(log).toEqual(['a']);
    clock.advance(30_000);
    await settled();
    expect(log).toEqual(['a', 'b']);
  });

  test('speculation waits without a deadline, and has one from its promotion on', async () => {
    const { clock, log, admit } = gateWith({ inflightMax: 1, deadlineMs: 1000 });
    const promotion = new AbortController();
    admit('a');
    admit('patient', { lane: 'speculation' });
    admit('promoted', { lane: 'speculation', promotion: promotion.signal });
    await settled();
    clock.advance(5000);
    await settled();
    promotion.abort();
    clock.advance(900);
    await settled();
    expect(log).toEqual(['a']);
    clock.advance(100);
    await settled();
    expect(log).toEqual(['a', 'promoted: store_throttled']);
  });

  test('holds the bytes a second: a GET may overdraw, and what follows waits until that is paid', async () => {
    const { clock, gate, log, open, admit } = gateWith({ bytesPerSecond: 1000 });
    expect(gate.exhausted).toBeUndefined();
    for (const name of ['a', 'b', 'c']) admit(name, { lane: 'demand', bytes: 900 });
    await settled();
    expect(log).toEqual(['a', 'b']);
    expect(gate.exhausted).toBe('bytes');
    clock.advance(800);
    await settled();
    expect(log).toEqual(['a', 'b']);
    clock.advance(10);
    await settled();
    expect(log).toEqual(['a', 'b', 'c']);
    // What did not arrive is not paid for.
    admit('d', { lane: 'demand', bytes: 900 });
    open[2]!(0);
    await settled();
    expect(log).toEqual(['a', 'b', 'c', 'd']);
  });

  test('never lets more bytes through than a second of budget, the rate and one GET', async () => {
    const { clock, log, admit } = gateWith({ bytesPerSecond: 1000 });
    for (let n = 0; n < 200; n += 1) admit(String(n), { lane: 'demand', bytes: 300 });
    for (let step = 0; step < 100; step += 1) {
      await settled();
      expect(log.length * 300).toBeLessThanOrEqual(1000 + clock.monotonicMs() + 300);
      clock.advance(100);
    }
    expect(log.length * 300).toBeGreaterThan(10_000);
  });

  test('says which budget is exhausted while the next GET would have to wait', async () => {
    const { clock, gate, admit } = gateWith({ getsPerSecond: 2 });
    admit('a');
    await settled();
    expect(gate.exhausted).toBeUndefined();
    admit('b');
    await settled();
    expect(gate.exhausted).toBe('gets');
    clock.advance(500);
    expect(gate.exhausted).toBeUndefined();
    expect(gateWith({ getsPerDayMax: 1 }).gate.exhausted).toBeUndefined();
  });

  test('closing refuses what waits', async () => {
    const { gate, clock, log, admit } = gateWith({ inflightMax: 1 });
    admit('a');
    admit('b');
    await settled();
    gate.close();
    await settled();
    expect(log).toEqual(['a', 'b: interrupted']);
    expect(clock.sleeping).toBe(0);
  });
});
