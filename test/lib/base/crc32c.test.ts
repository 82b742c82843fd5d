import { createRequire } from 'node:module';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { crc32c, crc32cCombine, loadCrc32c, loadWasm } from '../../../src/lib/base/crc32c.ts';
import { seededRandom } from '../../../src/lib/base/random.ts';

beforeAll(loadCrc32c);

/** Bit by bit, from the definition: reflected polynomial 0x82F63B78, all ones in and out. */
function crc32cByDefinition(bytes: Uint8Array): number {
  let register = 0xffffffff;
  for (const byte of bytes) {
    register ^= byte;
    for (let bit = 0; bit < 8; bit += 1) register = register & 1 ? (register >>> 1) ^ 0x82f63b78 : register >>> 1;
  }
  return (register ^ 0xffffffff) >>> 0;
}

// Source: RFC 3720 appendix B.4, and the check value of the CRC catalogue.
const VECTORS: readonly (readonly [string, Uint8Array, number])[] = [
  ['"123456789"', Buffer.from('123456789'), 0xe3069283],
  ['nothing', new Uint8Array(0), 0],
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['0 to 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ['31 to 0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
];

test.each(VECTORS)('%s', (_, bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected);
});

test('the fast implementation and the WebAssembly one agree with the definition, whole and continued', async () => {
  const wasm = await loadWasm();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, cut) => {
      const expected = crc32cByDefinition(bytes);
      const [head, tail] = [bytes.subarray(0, cut), bytes.subarray(cut)];
      expect(crc32c(bytes)).toBe(expected);
      expect(wasm(bytes)).toBe(expected);
      expect(crc32c(tail, crc32c(head))).toBe(expected);
      expect(wasm(tail, wasm(head))).toBe(expected);
    }),
  );
});

test('they agree on a whole slab and on views that begin anywhere', async () => {
  const wasm = await loadWasm();
  const bytes = seededRandom(1).bytes(131_072 + 7);
  for (const start of [0, 1, 3, 7]) expect(wasm(bytes.subarray(start))).toBe(crc32c(bytes.subarray(start)));
});

test('the native module is the one that is used where it loads', () => {
  const native = createRequire(import.meta.url)('@node-rs/crc32') as { crc32c: (bytes: Uint8Array) => number };
  expect(native.crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
});

describe('crc32cCombine', () => {
  test('joins neighbours of any lengths', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.uint8Array({ maxLength: 400 }), (a, b) => {
        expect(crc32cCombine(crc32c(a), crc32c(b), b.length)).toBe(crc32c(Buffer.concat([a, b])));
      }),
    );
  });

  test('joins neighbours of every power of two, which come by tables', () => {
    const bytes = seededRandom(2).bytes(1 + 2 ** 17);
    const first = crc32c(bytes.subarray(0, 1));
    for (let k = 0; k <= 17; k += 1) {
      const end = 1 + 2 ** k;
      expect(crc32cCombine(first, crc32c(bytes.subarray(1, end)), 2 ** k)).toBe(crc32c(bytes.subarray(0, end)));
    }
    // Of what is longer: the same in two parts, whose lengths are none.
    for (let k = 2; k <= 32; k += 1) {
      const [a, b, c] = [0xdeadbeef, 0x12345678, 0xfedcba98];
      const rest = 2 ** k - 1;
      expect(crc32cCombine(a, crc32cCombine(b, c, rest), 2 ** k)).toBe(crc32cCombine(crc32cCombine(a, b, 1), c, rest));
    }
  });

  test('is associative, also over lengths that no test could hold', () => {
    const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
    fc.assert(
      fc.property(word, word, word, fc.maxSafeNat(), fc.nat(2 ** 31), (a, b, c, longOfC, lengthOfB) => {
        const lengthOfC = Math.min(longOfC, Number.MAX_SAFE_INTEGER - lengthOfB);
        const left = crc32cCombine(crc32cCombine(a, b, lengthOfB), c, lengthOfC);
        const right = crc32cCombine(a, crc32cCombine(b, c, lengthOfC), lengthOfB + lengthOfC);
        expect(left).toBe(right);
      }),
    );
  });

  test('check blocks give the granule, granules give the page', () => {
    const bytes = seededRandom(2).bytes(300_000);
    let combined = 0;
    for (let off = 0; off < bytes.length; off += 16_384) {
      const block = bytes.subarray(off, off + 16_384);
      combined = crc32cCombine(combined, crc32c(block), block.length);
    }
    expect(combined).toBe(crc32c(bytes));
  });
});
