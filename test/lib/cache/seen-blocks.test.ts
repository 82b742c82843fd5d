import { expect, test } from 'vitest';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { SeenBlocks } from '../../../src/lib/cache/seen-blocks.ts';
import { CHECK_BLOCK_BYTES } from '../../../src/lib/page/page.ts';

/** Two whole blocks and a short one. */
const BYTES = Buffer.from(seededRandom(3).bytes(2 * CHECK_BLOCK_BYTES + 77));

test('it knows which blocks were read', () => {
  const seen = new SeenBlocks(4);
  seen.add(1, 3);
  expect([seen.has(1, 3), seen.has(0, 2), seen.has(2, 4), seen.has(2, 3)]).toEqual([true, false, false, true]);
});

test('blocks are the same once they were remembered, together and each alone', () => {
  const seen = new SeenBlocks(4);
  expect(seen.areSame(1, BYTES)).toBe(false);
  seen.add(1, 4);
  expect(seen.areSame(1, BYTES), 'read once, never summed').toBe(false);
  seen.remember(1, BYTES);
  expect(seen.has(1, 4)).toBe(true);
  expect(seen.areSame(1, BYTES)).toBe(true);
  expect(seen.areSame(2, BYTES.subarray(CHECK_BLOCK_BYTES, 2 * CHECK_BLOCK_BYTES))).toBe(true);
  expect(seen.areSame(3, BYTES.subarray(2 * CHECK_BLOCK_BYTES))).toBe(true);
  seen.add(1, 4);
  expect(seen.areSame(1, BYTES), 'another read of them').toBe(true);
});

test('a flipped bit, another place and a block that was not remembered are not the same', () => {
  const seen = new SeenBlocks(4);
  seen.remember(0, BYTES);
  for (const at of [0, CHECK_BLOCK_BYTES - 1, CHECK_BLOCK_BYTES, BYTES.length - 1]) {
    const flipped = Buffer.from(BYTES);
    flipped[at]! ^= 16;
    expect(seen.areSame(0, flipped), `byte ${at}`).toBe(false);
  }
  expect(seen.areSame(1, BYTES.subarray(0, CHECK_BLOCK_BYTES))).toBe(false);
  expect(seen.areSame(2, BYTES.subarray(2 * CHECK_BLOCK_BYTES - 100))).toBe(false);
  expect(seen.areSame(0, Buffer.alloc(4 * CHECK_BLOCK_BYTES)), 'more than is known').toBe(false);
});
