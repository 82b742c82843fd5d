import { expect, test } from 'vitest';
import { InlineReads } from '../../../src/lib/cache/inline-reads.ts';

const BLOCK = 16_384;

test('only short reads of blocks that were read before are done at once', () => {
  const inline = new InlineReads({ monotonicMs: () => 0 });
  const readBefore = Uint8Array.from([0, 1, 1, 0, 1, 1, 1, 1, 1]);
  const allows = (first: number, count: number): boolean =>
    inline.allows(readBefore, { first, count, bytes: count * BLOCK });
  expect([allows(1, 2), allows(0, 2), allows(2, 2), allows(4, 4), allows(4, 5)]).toEqual([
    true,
    false,
    false,
    true,
    false,
  ]);
});

test('one that took long stops them for a while, longer each time, until many were quick', () => {
  let nowMs = 0;
  const inline = new InlineReads({ monotonicMs: () => nowMs });
  const allowed = (): boolean => inline.allows(Uint8Array.from([1]), { first: 0, count: 1, bytes: BLOCK });
  const readIn = (ms: number): void => inline.run(() => void (nowMs += ms));
  /** How long they are not done from now on. */
  const pauseMs = (): number => {
    const sinceMs = nowMs;
    while (!allowed()) nowMs += 1;
    return nowMs - sinceMs;
  };
  readIn(2 ** -6);
  expect(pauseMs()).toBe(0);
  const pauses = Array.from({ length: 9 }, () => (readIn(5), pauseMs()));
  expect(pauses).toEqual([10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
  for (let count = 0; count < 1000; count += 1) readIn(2 ** -6);
  readIn(5);
  expect(pauseMs()).toBe(10);
});

test('one that fails is as slow as it was', () => {
  let nowMs = 0;
  const inline = new InlineReads({ monotonicMs: () => nowMs });
  const failing = (): void =>
    inline.run(() => {
      nowMs += 5000;
      throw new Error('EIO');
    });
  expect(failing).toThrow('EIO');
  expect(inline.allows(Uint8Array.from([1]), { first: 0, count: 1, bytes: BLOCK })).toBe(false);
});
