import { afterEach, beforeEach, expect, test } from 'vitest';
import { PresignedRequests } from '../../../src/lib/objectstore/presigned-requests.ts';
import { manualClock, type ManualClock } from '../../support/manual-clock.ts';

const MINUTE_MS = 60_000;
let clock: ManualClock;
let requests: PresignedRequests;

beforeEach(() => {
  clock = manualClock();
  const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' };
  const s3 = { bucket: 'b', region: 'us-east-1', endpoint: 'http://127.0.0.1:1', credentials, forcePathStyle: true };
  requests = new PresignedRequests(s3, clock);
});

afterEach(() => requests.close());

test('a signature serves until its last minute, and is made anew then', async () => {
  const first = await requests.sign('GET', 'k');
  expect(first).toMatchObject({ origin: 'http://127.0.0.1:1', signedAtMs: clock.monotonicMs() });
  clock.advance(14 * MINUTE_MS - 1);
  expect(await requests.sign('GET', 'k')).toBe(first);
  clock.advance(1);
  const second = await requests.sign('GET', 'k');
  expect(second.signedAtMs).toBe(clock.monotonicMs());
  expect(second.path).not.toBe(first.path);
});

test('methods and keys have signatures of their own, and a key is not taken for a path', async () => {
  const get = await requests.sign('GET', 'a/../b c');
  expect(get.path).toMatch(/^\/b\/a\/\.\.\/b%20c\?/);
  expect((await requests.sign('HEAD', 'a/../b c')).path).not.toBe(get.path);
  expect((await requests.sign('GET', 'other')).path).not.toBe(get.path);
});

test('a refusal is worth another try where the clocks differ, the signature is old or the credentials have expired', async () => {
  const signed = await requests.sign('GET', 'k');
  const same = { storeTimeMs: clock.nowMs(), expired: false };
  expect(requests.refused(signed, same)).toBe(false);
  expect(requests.refused(signed, { ...same, expired: true })).toBe(true);
  expect(requests.refused(signed, { ...same, storeTimeMs: Number.NaN })).toBe(false);
  const storeTimeMs = clock.nowMs() + 20 * MINUTE_MS;
  expect(requests.refused(signed, { storeTimeMs, expired: false })).toBe(true);
  const corrected = await requests.sign('GET', 'k');
  const stamp = new Date(storeTimeMs).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  expect(corrected.path).toContain(`X-Amz-Date=${stamp}`);
  // The same difference once more is no news.
  expect(requests.refused(corrected, { storeTimeMs, expired: false })).toBe(false);
  clock.advance(MINUTE_MS + 1);
  expect(requests.refused(corrected, { storeTimeMs: storeTimeMs + MINUTE_MS, expired: false })).toBe(true);
});

test.each([-60, 60])(
  'a signature is not used beyond its time where the clock was set by %i minutes',
  async (minutes) => {
    const first = await requests.sign('GET', 'k');
    clock.advance(7 * MINUTE_MS);
    clock.set(minutes * MINUTE_MS);
    clock.advance(7 * MINUTE_MS);
    expect(await requests.sign('GET', 'k')).not.toBe(first);
  },
);

test('all that were signed by the wrong clock are worth another try, the first of them refused or the last', async () => {
  const signed = await Promise.all(['a', 'a', 'b'].map((key) => requests.sign('GET', key)));
  const answer = { storeTimeMs: clock.nowMs() + 60 * MINUTE_MS, expired: false };
  expect(signed.map((request) => requests.refused(request, answer))).toEqual([true, true, true]);
  expect(requests.refused(await requests.sign('GET', 'a'), answer)).toBe(false);
});
