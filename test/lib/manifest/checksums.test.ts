import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { crc32c, crc32cCombine, loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import { FileChecksums } from '../../../src/lib/manifest/checksums.ts';

beforeAll(() => loadCrc32c());

const KIB = 1024;

test('"123456789" has the CRC of the contract', () => {
  const file = new FileChecksums(64 * KIB);
  file.update(Buffer.from('1234'));
  file.update(Buffer.from('56789'));
  expect(file.finish()).toEqual({
    sizeBytes: 9,
    hash: 'sha256:15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
    pages: [{ pageId: 0, off: 0, len: 9, crc32c: 0xe3069283 }],
    granuleCrcs: undefined,
  });
});

test('an empty file has no pages', () => {
  const { sizeBytes, pages, granuleCrcs } = new FileChecksums(64 * KIB).finish();
  expect({ sizeBytes, pages, granuleCrcs }).toEqual({ sizeBytes: 0, pages: [], granuleCrcs: undefined });
});

test.each([0, 1, 32 * KIB, 100_000, 128 * KIB * KIB, -65_536])('a page size of %i is refused', (pageSizeBytes) => {
  expect(() => new FileChecksums(pageSizeBytes)).toThrow(expect.objectContaining({ code: 'usage' }));
});

describe('for any size, page size and cut', () => {
  const bytes = Buffer.alloc(1_500_000);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (at * 2_654_435_761) >>> 24;

  test('pages have the CRC of their bytes, granules have the CRC of theirs, and granules combine to pages', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: bytes.length }),
        fc.constantFrom(64, 128, 256, 512, 1024),
        fc.array(fc.integer({ min: 1, max: 400_000 }), { minLength: 1, maxLength: 6 }),
        (sizeBytes, pageKib, cuts) => {
          const pageSizeBytes = pageKib * KIB;
          const file = new FileChecksums(pageSizeBytes);
          for (let at = 0, cut = 0; at < sizeBytes; cut += 1) {
            const length = Math.min(cuts[cut % cuts.length]!, sizeBytes - at);
            file.update(bytes.subarray(at, at + length));
            at += length;
          }
          const { hash, pages, granuleCrcs } = file.finish();
          expect(hash).toBe(`sha256:${createHash('sha256').update(bytes.subarray(0, sizeBytes)).digest('hex')}`);
          expect(pages).toHaveLength(Math.ceil(sizeBytes / pageSizeBytes));
          let granule = 0;
          for (const page of pages) {
            const content = bytes.subarray(page.off, page.off + page.len);
            expect(page.crc32c).toBe(crc32c(content));
            if (!granuleCrcs) {
              expect(page.len).toBeLessThanOrEqual(128 * KIB);
              continue;
            }
            let combined: number | undefined;
            for (let off = 0; off < content.length; off += 128 * KIB) {
              const part = content.subarray(off, off + 128 * KIB);
              const crc = granuleCrcs[granule++]!;
              expect(crc).toBe(crc32c(part));
              combined = combined === undefined ? crc : crc32cCombine(combined, crc, part.length);
            }
            expect(combined).toBe(page.crc32c);
          }
          if (granuleCrcs) expect(granule).toBe(granuleCrcs.length);
        },
      ),
      { numRuns: 60 },
    );
  });
});
