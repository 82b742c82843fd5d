import { expect, test } from 'vitest';
import { Readiness } from '../../../src/lib/blobapi/readiness.ts';
import { manualClock } from '../../support/manual-clock.ts';

const OK = { name: 'store', ok: true, reason: 'answers' };

test('however many probes come, the store and the cache are asked once a second', async () => {
  const clock = manualClock();
  let asked = 0;
  const readiness = new Readiness(async () => [{ ...OK, reason: String((asked += 1)) }], clock);
  for (let probe = 0; probe < 10; probe += 1) expect(await readiness.findings()).toEqual([{ ...OK, reason: '1' }]);
  clock.advance(1001);
  expect(await readiness.findings()).toEqual([{ ...OK, reason: '2' }]);
  expect(asked).toBe(2);
});

test('a check that breaks is a finding, and a server that is told to end is not ready', async () => {
  const broken = new Readiness(() => Promise.reject(new Error('no such thing')), manualClock());
  expect(await broken.findings()).toEqual([{ name: 'check', ok: false, reason: 'no such thing' }]);
  const ending = new Readiness(async () => [OK], manualClock());
  expect(await ending.findings()).toEqual([OK]);
  ending.drain();
  expect(await ending.findings()).toEqual([{ name: 'server', ok: false, reason: 'the server is shutting down' }]);
});
