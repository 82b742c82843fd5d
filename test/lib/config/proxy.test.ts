import { expect, test } from 'vitest';
import { proxyFor } from '../../../src/lib/config/proxy.ts';

const BOTH = { HTTPS_PROXY: 'http://secure:1', HTTP_PROXY: 'http://plain:2' };

test.each([
  ['https://s3.example', {}, undefined],
  ['https://s3.example', BOTH, 'http://secure:1'],
  ['http://s3.example', BOTH, 'http://plain:2'],
  ['http://s3.example', { HTTPS_PROXY: 'http://secure:1' }, undefined],
  ['https://s3.example', { https_proxy: 'small:3', HTTPS_PROXY: 'http://secure:1' }, 'http://small:3'],
  ['https://s3.example', { ALL_PROXY: 'http://all:4' }, 'http://all:4'],
  ['https://s3.example', { ...BOTH, HTTPS_PROXY: '' }, undefined],
  ['http://127.0.0.1:9000', BOTH, undefined],
  ['http://localhost:9000', BOTH, undefined],
  ['http://[::1]:9000', BOTH, undefined],
  ['https://s3.example', { ...BOTH, NO_PROXY: 'other.example, s3.example' }, undefined],
  ['https://a.s3.example', { ...BOTH, NO_PROXY: '.s3.example' }, undefined],
  ['https://nots3.example', { ...BOTH, no_proxy: 's3.example' }, 'http://secure:1'],
  ['https://s3.example:9000', { ...BOTH, NO_PROXY: 's3.example:443' }, 'http://secure:1'],
  ['https://s3.example', { ...BOTH, NO_PROXY: 's3.example:443' }, undefined],
  ['https://s3.example', { ...BOTH, NO_PROXY: '*' }, undefined],
])('%s with %j goes through %s', (endpoint, env, expected) => {
  expect(proxyFor(endpoint, env)).toBe(expected);
});
