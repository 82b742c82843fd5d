import { expect, test } from 'vitest';
import { pageAlignedMemory } from '../../../src/lib/base/page-aligned.ts';
import { MIB } from '../../../src/lib/base/units.ts';
import { createPrefault, prefault } from '../../../src/lib/disk/prefault.ts';

test('memory is resident afterwards, and zeros', async () => {
  const memory = pageAlignedMemory(64 * MIB);
  const beforeBytes = process.memoryUsage.rss();
  await prefault(memory);
  // Half, because the process may give other memory back meanwhile.
  expect(process.memoryUsage.rss() - beforeBytes).toBeGreaterThan(32 * MIB);
  expect(memory.every((byte) => byte === 0)).toBe(true);
});

test('where there is no such device nothing happens', async () => {
  const memory = Buffer.alloc(8192, 7);
  await createPrefault('/dev/there-is-no-such-device')(memory);
  expect(memory.every((byte) => byte === 7)).toBe(true);
});
