import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkKey, compareKeys } from '../../../src/lib/objectstore/key.ts';

describe('compareKeys', () => {
  test('is the order of the UTF-8 bytes', () => {
    const text = fc.string({ unit: 'binary', maxLength: 8 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareKeys(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });

  test('puts what is beyond the basic plane last', () => {
    const keys = ['\u{1F600}', '\uFFFD', '\uE000', '\uD7FF', 'z'];
    expect([...keys].sort(compareKeys)).toEqual(['z', '\uD7FF', '\uE000', '\uFFFD', '\u{1F600}']);
  });
});

describe('checkKey', () => {
  test.each(['a', '/', 'a'.repeat(1024), 'ä'.repeat(512), '\u{1F600}'])('takes a legal key', (key) => {
    expect(() => checkKey(key)).not.toThrow();
  });

  test.each(['', 'a'.repeat(1025), 'ä'.repeat(513), 'a\0', '\uDC00'])('refuses another', (key) => {
    expect(() => checkKey(key)).toThrow(expect.objectContaining({ code: 'usage' }));
  });
});
