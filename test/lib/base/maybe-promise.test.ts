import { expect, test } from 'vitest';
import { andThen, lastly } from '../../../src/lib/base/maybe-promise.ts';

test('what is there goes on at once, what is promised when it comes', async () => {
  expect(andThen(2, (value) => value + 1)).toBe(3);
  await expect(andThen(Promise.resolve(2), (value) => value + 1)).resolves.toBe(3);
});

test('the cleanup comes once, after the work: at its end, when its promise settles, and when it fails either way', async () => {
  const cleaned: string[] = [];
  const failure = new Error('lost');
  expect(
    lastly(
      () => 1,
      () => cleaned.push('value'),
    ),
  ).toBe(1);
  expect(() =>
    lastly(
      () => {
        throw failure;
      },
      () => cleaned.push('throw'),
    ),
  ).toThrow(failure);
  expect(cleaned).toEqual(['value', 'throw']);
  let resolve = (_value: number): void => undefined;
  const promised = new Promise<number>((settle) => {
    resolve = settle;
  });
  const late = lastly(
    () => promised,
    () => cleaned.push('promise'),
  );
  const lost = lastly(
    () => Promise.reject(failure),
    () => cleaned.push('rejection'),
  );
  await expect(lost).rejects.toBe(failure);
  expect(cleaned).toEqual(['value', 'throw', 'rejection']);
  resolve(2);
  await expect(late).resolves.toBe(2);
  expect(cleaned).toEqual(['value', 'throw', 'rejection', 'promise']);
});
