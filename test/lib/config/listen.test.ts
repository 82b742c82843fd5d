// Listen addresses.
import { expect, test } from 'vitest';
import { isLoopback, parseListen } from '../../../src/lib/config/listen.ts';

test.each([
  ['127.0.0.1:7070', { host: '127.0.0.1', port: 7070 }],
  ['localhost:0', { host: 'localhost', port: 0 }],
  ['[::1]:65535', { host: '::1', port: 65_535 }],
  ['7070', undefined],
  [':7070', undefined],
  ['::1:7070', undefined],
  ['a:65536', undefined],
  ['a:-1', undefined],
  ['a b:1', undefined],
])('%s', (text, address) => {
  expect(parseListen(text)).toEqual(address);
});

test('only loopback addresses are loopback', () => {
  expect(['127.0.0.1', '127.9.9.9', '::1', 'localhost'].every(isLoopback)).toBe(true);
  expect(['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example.org'].some(isLoopback)).toBe(false);
});
