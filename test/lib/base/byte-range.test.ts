import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clipRange, isByteCount, rangeEnd } from '../../../src/lib/base/byte-range.ts';

test.each([
  [0, true],
  [2 ** 53 - 1, true],
  [2 ** 53, false],
  [-1, false],
  [1.5, false],
  ['1', false],
  [Number.NaN, false],
])('%j is a byte count: %j', (value, is) => {
  expect(isByteCount(value)).toBe(is);
});

describe('clipRange', () => {
  test('for any request: the bytes of the file that were asked for, or the error that fits', () => {
    fc.assert(
      fc.property(fc.nat(60), fc.option(fc.nat(60), { nil: undefined }), fc.nat(50), (off, len, sizeBytes) => {
        const past = off > sizeBytes || (off === sizeBytes && sizeBytes > 0);
        if (past) {
          expect(() => clipRange({ off, len }, sizeBytes)).toThrow(
            expect.objectContaining({ code: 'range_not_satisfiable' }) as Error,
          );
          return;
        }
        const clipped = clipRange({ off, len }, sizeBytes);
        expect(clipped.off).toBe(off);
        expect(rangeEnd(clipped)).toBe(Math.min(sizeBytes, off + (len ?? sizeBytes)));
      }),
    );
  });

  test('a length at the end of the safe integers is clipped, not wrapped', () => {
    expect(clipRange({ off: 5, len: Number.MAX_SAFE_INTEGER }, 10)).toEqual({ off: 5, len: 5 });
  });

  test.each([[{ off: -1 }], [{ off: 0.5 }], [{ off: Number.NaN }], [{ off: 0, len: -1 }], [{ off: 0, len: 2 ** 60 }]])(
    '%j is a usage error',
    (request) => {
      expect(() => clipRange(request, 10)).toThrow(expect.objectContaining({ code: 'usage' }) as Error);
    },
  );
});
