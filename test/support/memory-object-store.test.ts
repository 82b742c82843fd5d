import { expect, test } from 'vitest';
import { MemoryObjectStore } from './memory-object-store.ts';
import { describeObjectStore } from './object-store-conformance.ts';

describeObjectStore('memory', { open: () => Promise.resolve(new MemoryObjectStore()), presign: 'usage' });

test('a memory store keeps copies: neither the caller of put nor a sink can change an object', async () => {
  const store = new MemoryObjectStore();
  const bytes = Buffer.from('abc');
  await store.put({ key: 'k', source: { kind: 'bytes', bytes }, condition: { kind: 'none' }, durable: false });
  bytes.fill('x');
  const request = { key: 'k', range: { off: 0, len: 3 }, purpose: 'file' as const };
  await store.getRange(request, { write: (chunk) => void chunk.fill(0) });
  expect((await store.getWhole({ key: 'k', sizeBytesMax: 3, purpose: 'meta' })).bytes.toString()).toBe('abc');
});
