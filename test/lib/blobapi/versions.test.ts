import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Clock } from '../../../src/lib/base/clock.ts';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { VersionPool } from '../../../src/lib/blobapi/versions.ts';
import { memoryData, type MemoryData } from '../../support/memory-data.ts';

const FILES = { a: Buffer.from('a') };
const HEAD = { kind: 'head' } as const;

let nowMs: number;
let data: MemoryData;
let pool: VersionPool;

beforeEach(() => {
  nowMs = 0;
  const clock: Clock = { ...systemClock, monotonicMs: () => nowMs };
  data = memoryData({ dev: [FILES] });
  pool = new VersionPool({
    head: (ns) => data.head(ns),
    pin: (ns, selector) => data.pin(ns, selector),
    clock,
    headAgeMsMax: 1000,
    openVersionsMax: 2,
  });
});

afterEach(() => {
  pool.close();
  expect(data.pins.closed).toBe(data.pins.opened);
});

async function versionOf(ns = 'dev'): Promise<number> {
  const lease = await pool.acquire(ns, HEAD);
  lease.release();
  return lease.pinned.version;
}

test('a hundred requests at once ask for HEAD once, and those of the next half second not at all', async () => {
  await Promise.all(Array.from({ length: 100 }, () => versionOf()));
  nowMs = 499;
  await versionOf();
  expect(data.pins.heads).toBe(1);
});

test('a new version is seen once the age is over, and never later', async () => {
  expect(await versionOf()).toBe(1);
  data.namespaces['dev']!.push(FILES);
  nowMs = 1001;
  expect(await versionOf()).toBe(2);
});

test('from half the age on HEAD is renewed while requests go on without waiting', async () => {
  await versionOf();
  data.namespaces['dev']!.push(FILES);
  nowMs = 600;
  const lease = pool.acquire('dev', HEAD);
  expect(lease).not.toBeInstanceOf(Promise);
  (await lease).release();
  await new Promise(setImmediate);
  expect(await versionOf()).toBe(2);
});

test('an unchanged HEAD costs one look and opens nothing', async () => {
  await versionOf();
  nowMs = 5000;
  await versionOf();
  expect(data.pins).toMatchObject({ heads: 2, opened: 1 });
});

test('what is not there is asked for once in the age of a HEAD', async () => {
  for (let ask = 0; ask < 5; ask += 1) {
    await expect(versionOf('no')).rejects.toMatchObject({ code: 'namespace_not_found' });
  }
  data.namespaces['no'] = [FILES];
  await expect(versionOf('no')).rejects.toMatchObject({ code: 'namespace_not_found' });
  nowMs = 1001;
  expect(await versionOf('no')).toBe(1);
});

test('the least recently used version closes, after its last reader', async () => {
  data.namespaces['dev']!.push(FILES, FILES);
  const first = await pool.acquire('dev', { kind: 'version', version: 1 });
  for (const version of [2, 3]) (await pool.acquire('dev', { kind: 'version', version })).release();
  expect(data.pins.closed).toBe(0);
  first.release();
  expect(data.pins.closed).toBe(1);
  (await pool.acquire('dev', { kind: 'version', version: 3 })).release();
  expect(data.pins.opened).toBe(3);
});
