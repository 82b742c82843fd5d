import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { comparePaths } from '../../../src/lib/manifest/path-order.ts';

test('paths are ordered as the bytes of their UTF-8', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
      expect(Math.sign(comparePaths(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
    { numRuns: 500 },
  );
});

test('a surrogate pair comes after U+FFFF, which UTF-16 order gets wrong', () => {
  expect(comparePaths('\u{1f642}', '\uffff')).toBeGreaterThan(0);
  expect(['\uffff', '\u{1f642}'].sort()).toEqual(['\u{1f642}', '\uffff']);
});
