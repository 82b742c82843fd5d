// What a mistyped name was most likely meant to be.
import { expect, test } from 'vitest';
import { nearestOf } from '../../../src/lib/base/nearest.ts';

test.each([
  ['police', 'policy'],
  ['lss', 'ls'],
  ['warn', 'warm'],
  ['ls', 'ls'],
  ['something', undefined],
  ['', undefined],
  ['xx', undefined],
  ['ks', 'ls'],
])('%s: %s', (name, expected) => {
  expect(nearestOf(name, ['policy', 'cat', 'ls', 'warm'])).toBe(expected);
});

test('of several that are as near the first wins', () => {
  expect(nearestOf('pit', ['put', 'pin'])).toBe('put');
});
