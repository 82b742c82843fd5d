import { expect, test } from 'vitest';
import { eachAtOnce } from '../../../src/lib/base/each-at-once.ts';
import { SeekfsError } from '../../../src/lib/base/errors.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('every item is run once, and never more of them at a time than may be', async () => {
  const done: number[] = [];
  let running = 0;
  let runningMax = 0;
  await eachAtOnce(
    Array.from({ length: 20 }, (_, index) => index),
    3,
    async (item) => {
      running += 1;
      runningMax = Math.max(runningMax, running);
      await turn();
      running -= 1;
      done.push(item);
    },
    undefined,
  );
  expect(done.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  expect(runningMax).toBe(3);
});

test('the first failure stops what runs and what was to come, and is thrown when all have ended', async () => {
  const begun: number[] = [];
  let stopped = 0;
  const failure = new Error('no');
  const run = async (item: number, signal: AbortSignal): Promise<void> => {
    begun.push(item);
    if (item === 1) throw failure;
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    stopped += 1;
    throw signal.reason;
  };
  await expect(eachAtOnce([0, 1, 2, 3, 4], 2, run, undefined)).rejects.toBe(failure);
  expect(begun).toEqual([0, 1]);
  expect(stopped).toBe(1);
});

test('items that fail to come stop what runs, and their failure is thrown when all have ended', async () => {
  const failure = new Error('no more');
  let stopped = 0;
  async function* items(): AsyncGenerator<number> {
    yield 0;
    throw failure;
  }
  const run = async (_: number, signal: AbortSignal): Promise<void> => {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    stopped += 1;
  };
  await expect(eachAtOnce(items(), 2, run, undefined)).rejects.toBe(failure);
  expect(stopped).toBe(1);
});

test('an aborted signal ends the work with its reason', async () => {
  const reason = new SeekfsError('interrupted', 'interrupted');
  const outer = new AbortController();
  const begun: number[] = [];
  const run = async (item: number): Promise<void> => {
    begun.push(item);
    outer.abort(reason);
  };
  await expect(eachAtOnce([0, 1, 2], 1, run, outer.signal)).rejects.toBe(reason);
  expect(begun).toEqual([0]);
});
