// Aligned text.
import { expect, test } from 'vitest';
import { plural, sheet, table } from '../../src/cli/tables.ts';

test('columns are as wide as their widest cell, numbers to the right, the last one free', () => {
  expect(
    table(
      [
        ['a', '1', 'x'],
        ['bcd', '22', 'long text'],
      ],
      [1],
    ),
  ).toBe('a     1  x\nbcd  22  long text');
});

test('a sheet leaves out what is undefined', () => {
  expect(sheet({ size: 1, etag: undefined, hash: 'none' })).toBe('size:  1\nhash:  none');
});

test('one is singular', () => {
  expect([plural(0, 'file'), plural(1, 'file'), plural(2, 'file')]).toEqual(['0 files', '1 file', '2 files']);
});
