// Versions and counts as people write them.
import { expect, test } from 'vitest';
import { parseCount, parseVersion, parseVersionNumber } from '../../src/cli/values.ts';

const digest = `sha256:${'0a'.repeat(32)}`;

test.each([
  ['3', { kind: 'version', version: 3, digest: undefined }],
  ['v3', { kind: 'version', version: 3, digest: undefined }],
  ['v-3', { kind: 'version', version: 3, digest: undefined }],
  [`3@${digest}`, { kind: 'version', version: 3, digest }],
  [`v-12@${digest}`, { kind: 'version', version: 12, digest }],
  ['head', { kind: 'head' }],
])('%s is a version', (text, selector) => {
  expect(parseVersion(text)).toEqual(selector);
});

test.each([
  '',
  '0',
  '-3',
  '3.5',
  'v',
  'v--3',
  '3@',
  '3@sha256:12',
  `3@${digest.toUpperCase()}`,
  '99999999999999999999',
  '3 ',
])('"%s" is no version', (text) => {
  expect(() => parseVersion(text)).toThrow(expect.objectContaining({ code: 'usage' }));
});

test('a version number has no digest and is not head', () => {
  expect(parseVersionNumber('v-3')).toBe(3);
  expect(() => parseVersionNumber('head')).toThrow('is not a version number');
  expect(() => parseVersionNumber(`3@${digest}`)).toThrow('is not a version number');
});

test('counts are whole and within their bound', () => {
  expect(parseCount('1', 1)).toBe(1);
  for (const text of ['0', '-1', '1.5', '', 'x', '1e3'])
    expect(() => parseCount(text, 1)).toThrow('whole number from 1');
});
