import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clipRange, isByteCount, mergeRanges, rangeEnd } from '../../../src/lib/base/byte-range.ts';

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
        const past = off >= sizeBytes && sizeBytes > 0;
        if (past) {
          expect(() => clipRange({ off, len }, sizeBytes)).toThrow(
            expect.objectContaining({ code: 'range_not_satisfiable' }) as Error,
          );
          return;
        }
        const clipped = clipRange({ off, len }, sizeBytes);
        expect(clipped.off).toBe(Math.min(off, sizeBytes));
        expect(rangeEnd(clipped)).toBe(Math.min(sizeBytes, off + (len ?? sizeBytes)));
      }),
    );
  });

  test('a range of no bytes at the end of a file is past it, unless the file is empty', () => {
    const past = expect.objectContaining({ code: 'range_not_satisfiable' }) as Error;
    expect(() => clipRange({ off: 10, len: 0 }, 10)).toThrow(past);
    expect(() => clipRange({ off: 10 }, 10)).toThrow(past);
    expect(clipRange({ off: 0 }, 0)).toEqual({ off: 0, len: 0 });
    expect(clipRange({ off: 7, len: 3 }, 0)).toEqual({ off: 0, len: 0 });
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

test('merged ranges hold the same bytes in order, and no two of them touch', () => {
  const range = fc.record({ off: fc.nat(40), len: fc.nat(12) });
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), (ranges) => {
      const bytesOf = (some: readonly { off: number; len: number }[]): Set<number> =>
        new Set(some.flatMap(({ off, len }) => Array.from({ length: len }, (_, index) => off + index)));
      const merged = mergeRanges(ranges);
      expect(bytesOf(merged)).toEqual(bytesOf(ranges));
      for (const [index, each] of merged.entries()) {
        expect(each.len).toBeGreaterThan(0);
        if (index > 0) expect(each.off).toBeGreaterThan(rangeEnd(merged[index - 1]!));
      }
    }),
  );
});
