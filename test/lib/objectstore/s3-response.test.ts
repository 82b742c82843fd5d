import { describe, expect, test } from 'vitest';
import {
  checkNotEncoded,
  checkRangeAnswer,
  checkWholeAnswer,
  EncodedAnswer,
  ExactLength,
  type S3ResponseHead,
} from '../../../src/lib/objectstore/s3-response.ts';

const context = { doing: 'get', key: 'k', bucket: 'b', endpoint: 'http://store' };
const request = { range: { off: 100, len: 50 }, ifMatch: '"e"' };
const right: S3ResponseHead = {
  status: 206,
  contentRange: 'bytes 100-149/1000',
  contentLength: '50',
  contentEncoding: undefined,
  etag: '"e"',
  lastModified: 'Thu, 01 Jan 2026 00:00:00 GMT',
};
const failing = (code: string): unknown => expect.objectContaining({ code });

describe('the answer to a ranged GET', () => {
  test('gives the head of the object', () => {
    const head = { key: 'k', sizeBytes: 1000, etag: '"e"', modifiedAtMs: Date.UTC(2026, 0, 1) };
    expect(checkRangeAnswer(right, request, context)).toEqual(head);
    expect(checkRangeAnswer({ ...right, etag: 'e', lastModified: undefined }, request, context)).toEqual({
      ...head,
      modifiedAtMs: 0,
    });
  });

  test.each<[string, Partial<S3ResponseHead>, string]>([
    ['the whole instead of the range', { status: 200, contentRange: undefined }, 'store_unavailable'],
    ['no range', { contentRange: undefined }, 'store_unavailable'],
    ['a range of an object of unknown size', { contentRange: 'bytes 100-149/*' }, 'store_unavailable'],
    ['a range that begins elsewhere', { contentRange: 'bytes 99-149/1000' }, 'store_unavailable'],
    ['a range that ends elsewhere', { contentRange: 'bytes 100-148/1000' }, 'store_unavailable'],
    ['an object that ends before the range', { contentRange: 'bytes 100-119/120' }, 'range_not_satisfiable'],
    ['another object', { etag: '"f"' }, 'object_changed'],
    ['no ETag', { etag: undefined }, 'store_unavailable'],
    ['another length', { contentLength: '49' }, 'store_unavailable'],
    ['no length', { contentLength: undefined }, 'store_unavailable'],
    ['a length that is none', { contentLength: '0x32' }, 'store_unavailable'],
  ])('is refused with %s', (_, change, code) => {
    expect(() => checkRangeAnswer({ ...right, ...change }, request, context)).toThrow(failing(code));
  });
});

describe('the answer to a GET of the whole', () => {
  test('has status 200 and says its length', () => {
    const whole = { ...right, status: 200, contentRange: undefined, contentLength: '1000' };
    expect(checkWholeAnswer(whole, context)).toMatchObject({ sizeBytes: 1000, etag: '"e"' });
    expect(() => checkWholeAnswer(right, context)).toThrow(failing('store_unavailable'));
    expect(() => checkWholeAnswer({ ...whole, contentLength: undefined }, context)).toThrow(
      failing('store_unavailable'),
    );
  });

  test.each([
    [undefined, false],
    ['', false],
    ['identity', false],
    ['aws-chunked', false],
    ['gzip', true],
  ])('with the encoding %s has perhaps another length: %s', (contentEncoding, isEncoded) => {
    const head = checkRangeAnswer(right, request, context);
    const check = (): void => checkNotEncoded({ ...right, contentEncoding }, head);
    if (isEncoded) expect(check).toThrow(EncodedAnswer);
    else expect(check).not.toThrow();
  });
});

describe('a body', () => {
  test('of exactly the announced length is whole', () => {
    const length = new ExactLength(10, context);
    length.add(4);
    length.add(6);
    expect(() => length.end()).not.toThrow();
  });

  test('that ends early, or goes on, is an error', () => {
    const short = new ExactLength(10, context);
    short.add(9);
    expect(() => short.end()).toThrow(failing('store_unavailable'));
    expect(() => short.add(2)).toThrow(failing('store_unavailable'));
  });
});
