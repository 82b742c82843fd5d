import { describe, expect, test } from 'vitest';
import { isPageAligned, pageAlignedMemory } from '../../../src/lib/base/page-aligned.ts';
import { KIB } from '../../../src/lib/base/units.ts';
import { leadingPart } from '../../../src/lib/disk/direct.ts';

const BLOCK = 4 * KIB;
const memory = pageAlignedMemory(16 * BLOCK);
const other = Buffer.alloc(2 * BLOCK);

/** How all of a write is done: [direct, bytes] of each part. */
function partsOf(buffers: readonly Uint8Array[], position: number): [boolean, number][] {
  const parts: [boolean, number][] = [];
  const whole = Buffer.concat(buffers);
  for (let done = 0; done < whole.length;) {
    let skip = done;
    const left = buffers.flatMap((buffer) => {
      const cut = Math.min(skip, buffer.length);
      skip -= cut;
      return cut < buffer.length ? [buffer.subarray(cut)] : [];
    });
    const part = leadingPart(left, position + done);
    const bytes = part.buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    expect(Buffer.concat(part.buffers).equals(whole.subarray(done, done + bytes))).toBe(true);
    expect(bytes).toBeGreaterThan(0);
    if (part.direct) {
      expect((position + done) % BLOCK).toBe(0);
      for (const buffer of part.buffers) expect([isPageAligned(buffer), buffer.length % BLOCK]).toEqual([true, 0]);
    }
    parts.push([part.direct, bytes]);
    done += bytes;
  }
  return parts;
}

describe('what goes past the page cache', () => {
  test('is whole blocks in aligned memory, in one part', () => {
    const buffers = [memory.subarray(0, BLOCK), memory.subarray(4 * BLOCK, 8 * BLOCK)];
    expect(partsOf(buffers, 3 * BLOCK)).toEqual([[true, 5 * BLOCK]]);
  });

  test('is not what begins between two blocks of the file, up to where the next one begins', () => {
    const buffers = [memory.subarray(0, BLOCK - 100), memory.subarray(BLOCK, 3 * BLOCK)];
    expect(partsOf(buffers, 100)).toEqual([
      [false, BLOCK - 100],
      [true, 2 * BLOCK],
    ]);
  });

  test('is not the last part of a block, nor what then lies between blocks', () => {
    const buffers = [memory.subarray(0, 2 * BLOCK + 7), memory.subarray(4 * BLOCK, 5 * BLOCK)];
    expect(partsOf(buffers, 0)).toEqual([
      [true, 2 * BLOCK],
      [false, 7 + BLOCK],
    ]);
  });

  test('is nothing in other memory, and nothing that begins between two pages', () => {
    expect(partsOf([other], 0)).toEqual([[false, 2 * BLOCK]]);
    expect(partsOf([memory.subarray(1, 1 + BLOCK)], 0)).toEqual([[false, BLOCK]]);
    expect(partsOf([other, memory.subarray(0, BLOCK), other], BLOCK)).toEqual([
      [false, 2 * BLOCK],
      [true, BLOCK],
      [false, 2 * BLOCK],
    ]);
  });
});
