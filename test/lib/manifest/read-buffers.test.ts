import { expect, test } from 'vitest';
import { ReadBuffers } from '../../../src/lib/manifest/read-buffers.ts';

const MIB = 1024 * 1024;

test('memory that was given back is used again where it is large enough and not much larger', () => {
  const buffers = new ReadBuffers();
  const buffer = buffers.take(8 * MIB - 5);
  expect(buffer.byteLength).toBe(8 * MIB);
  buffers.give(buffer);
  expect(buffers.take(8 * MIB + 1)).not.toBe(buffer);
  expect(buffers.take(MIB)).not.toBe(buffer);
  expect(buffers.take(7 * MIB)).toBe(buffer);
  expect(buffers.take(7 * MIB)).not.toBe(buffer);
});

test('what lies idle is bounded in bytes and in number', () => {
  const buffers = new ReadBuffers();
  const large = Array.from({ length: 20 }, () => buffers.take(8 * MIB));
  for (const buffer of large) buffers.give(buffer);
  expect(buffers.idleBytes).toBe(64 * MIB);
  expect(buffers.take(8 * MIB)).toBe(large[12]);
  const small = Array.from({ length: 50 }, () => buffers.take(1));
  for (const buffer of small) buffers.give(buffer);
  expect(buffers.idleBytes).toBe(32 * 64 * 1024);
});
