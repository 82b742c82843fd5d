import { expect, test, vi } from 'vitest';
import { ALIGNMENT_BYTES, copyShared, isPageAligned, pageAlignedMemory } from '../../../src/lib/base/page-aligned.ts';

test('memory is aligned at its beginning and at each page, zeros, shared, and as much as was asked for', () => {
  const memory = pageAlignedMemory(100_000);
  expect(memory.length).toBeGreaterThanOrEqual(100_000);
  expect(memory.every((byte) => byte === 0)).toBe(true);
  expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect([0, ALIGNMENT_BYTES, 5 * ALIGNMENT_BYTES].map((at) => isPageAligned(memory.subarray(at)))).not.toContain(
    false,
  );
  expect([1, 512, ALIGNMENT_BYTES + 16].map((at) => isPageAligned(memory.subarray(at)))).not.toContain(true);
});

test('other memory is never taken for it', () => {
  expect(isPageAligned(Buffer.alloc(ALIGNMENT_BYTES))).toBe(false);
  expect(isPageAligned(Buffer.from(new SharedArrayBuffer(ALIGNMENT_BYTES)))).toBe(false);
});

function Memory(): never {
  throw new RangeError('could not allocate memory');
}

test.each([
  ['there are no addresses for a WebAssembly memory', { Memory }],
  ['V8 has no WebAssembly', undefined],
])('where %s it is ordinary memory', (_, webAssembly) => {
  vi.stubGlobal('WebAssembly', webAssembly);
  try {
    const memory = pageAlignedMemory(100_000);
    expect([memory.length, memory.buffer instanceof ArrayBuffer, isPageAligned(memory)]).toEqual([
      100_000,
      true,
      false,
    ]);
  } finally {
    vi.unstubAllGlobals();
  }
});

test.each([0, 1, 4096, 70_000])('%i bytes are copied to where they belong, and nothing else changes', (length) => {
  const memory = pageAlignedMemory(200_000).fill(1);
  const source = Buffer.from(Uint8Array.from({ length }, (_, at) => at * 7));
  expect(copyShared(memory, 5000, source)).toBe(length);
  expect(memory.subarray(5000, 5000 + length).equals(source)).toBe(true);
  expect(memory.filter((byte) => byte !== 1).length).toBe(source.filter((byte) => byte !== 1).length);
});
