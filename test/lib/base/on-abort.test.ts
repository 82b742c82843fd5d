// Many waits that share one signal: all are told, and Node reports no leak.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { onAbort } from '../../../src/lib/base/on-abort.ts';
import { Semaphore } from '../../../src/lib/base/semaphore.ts';

const WAITS = 50;
const warnings: Error[] = [];
const onWarning = (warning: Error): void => void warnings.push(warning);
beforeAll(() => void process.on('warning', onWarning));
afterAll(() => void process.off('warning', onWarning));

afterEach(async () => {
  // Node warns a tick later.
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings).toEqual([]);
});

test('any number of listeners', () => {
  const controller = new AbortController();
  let told = 0;
  for (let index = 0; index < WAITS; index += 1) onAbort(controller.signal, () => (told += 1));
  controller.abort();
  expect(told).toBe(WAITS);
});

test('any number of waits for a semaphore', async () => {
  const controller = new AbortController();
  const semaphore = new Semaphore(1);
  await semaphore.acquire();
  const { signal } = controller;
  const waits = Promise.allSettled(Array.from({ length: WAITS }, () => semaphore.acquire({ signal })));
  controller.abort();
  expect((await waits).filter(({ status }) => status === 'rejected')).toHaveLength(WAITS);
});
