import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { quickSum } from '../../../src/lib/base/quick-sum.ts';
import { seededRandom } from '../../../src/lib/base/random.ts';

test('the same bytes have the same sum, wherever they lie', () => {
  const bytes = seededRandom(1).bytes(16_384);
  const shared = Buffer.from(new SharedArrayBuffer(bytes.length + 3), 3);
  shared.set(bytes);
  expect(quickSum(shared)).toBe(quickSum(bytes));
  expect(quickSum(bytes), 'either implementation').toBe(crc32(bytes));
});

test('each flipped bit of a block gives another sum', () => {
  const bytes = seededRandom(2).bytes(512);
  const sums = new Set([quickSum(bytes)]);
  for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    sums.add(quickSum(bytes));
    bytes[bit >> 3]! ^= 1 << (bit & 7);
  }
  expect(sums.size).toBe(8 * bytes.length + 1);
});
