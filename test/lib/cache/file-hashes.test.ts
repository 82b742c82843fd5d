import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { FileHashes } from '../../../src/lib/cache/file-hashes.ts';

/** Few low words, so that they meet in one chain; 0 and 0 among them. */
const hash = fc.record({ lo: fc.nat(3), hi: fc.nat(0xffff_ffff) });
const zero = fc.constant({ lo: 0, hi: 0 });

test('holds what was added, each once', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(hash, zero)), fc.array(fc.oneof(hash, zero)), (added, others) => {
      const set = new FileHashes();
      const model = new Set<string>();
      for (const one of [...added, ...added]) {
        set.add(one);
        model.add(`${one.lo} ${one.hi}`);
      }
      expect(set.size).toBe(model.size);
      for (const one of [...added, ...others]) expect(set.has(one)).toBe(model.has(`${one.lo} ${one.hi}`));
    }),
  );
});

test('grows', () => {
  const set = new FileHashes();
  for (let number = 0; number < 10_000; number += 1) set.add({ lo: Math.imul(number, 0x9e3779b1) >>> 0, hi: number });
  expect(set.size).toBe(10_000);
  for (let number = 0; number < 10_000; number += 1) {
    expect(set.has({ lo: Math.imul(number, 0x9e3779b1) >>> 0, hi: number })).toBe(true);
    expect(set.has({ lo: Math.imul(number, 0x9e3779b1) >>> 0, hi: number + 10_000 })).toBe(false);
  }
});
