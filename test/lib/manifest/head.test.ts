import { expect, test } from 'vitest';
import { encodeHead, parseHead } from '../../../src/lib/manifest/head.ts';

const digest = `sha256:${'5a'.repeat(32)}`;

test.each([
  ['v-3', { version: 3, digest: undefined }],
  ['v3', { version: 3, digest: undefined }],
  ['3', { version: 3, digest: undefined }],
  [' v-3 \r\n', { version: 3, digest: undefined }],
  [`v-3\n${digest}\n`, { version: 3, digest }],
  ['v-3\nsomething else\n', { version: 3, digest: undefined }],
])('HEAD %j is read', (text, expected) => {
  expect(parseHead(text)).toEqual(expected);
});

test.each(['', '\n', 'v-', 'v-0', 'v--1', 'v-3.5', 'v-99999999999999999', 'latest', 'v-3 v-4'])(
  'HEAD %j is manifest_invalid',
  (text) => {
    expect(() => parseHead(text)).toThrow(expect.objectContaining({ code: 'manifest_invalid' }));
  },
);

test('what we write, we and the seed read: the version is the whole first line', () => {
  expect(encodeHead({ version: 7, digest })).toBe(`v-7\n${digest}\n`);
  expect(parseHead(encodeHead({ version: 7, digest }))).toEqual({ version: 7, digest });
  expect(parseHead(encodeHead({ version: 7, digest: undefined }))).toEqual({ version: 7, digest: undefined });
});
