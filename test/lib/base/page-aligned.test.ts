import { expect, test, vi } from 'vitest';
import { ALIGNMENT_BYTES, isPageAligned, pageAlignedMemory } from '../../../src/lib/base/page-aligned.ts';

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
