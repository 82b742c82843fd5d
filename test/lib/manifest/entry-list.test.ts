import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { EntryList } from '../../../src/lib/manifest/entry-list.ts';
import type { FileEntry } from '../../../src/lib/manifest/types.ts';
import { compareKeys } from '../../../src/lib/objectstore/key.ts';
import { anyEntries } from '../../support/file-entries.ts';

test('a list gives back what was added, in the order of paths, as often as it is asked', () => {
  fc.assert(
    fc.property(anyEntries(20), (entries) => {
      const list = new EntryList('dev', entries);
      const expected = entries.toSorted((a, b) => compareKeys(a.path, b.path));
      expect([...list.sorted()]).toEqual(expected);
      expect([...list.sorted()]).toEqual(expected);
      expect(list.length).toBe(entries.length);
    }),
  );
});

function large(index: number): FileEntry {
  return {
    path: `f${index}`,
    sizeBytes: 300_000,
    hash: `sha256:${'1'.repeat(64)}`,
    storage: { key: `namespaces/dev/files/f${index}`, etag: undefined, sse: undefined, off: index },
    pages: [{ pageId: 0, off: 0, len: 300_000, crc32c: index }],
    granuleCrcs: undefined,
    modifiedAtMs: undefined,
    extra: { note: 'x'.repeat(10_000) },
  };
}

test('many entries lie in many chunks', () => {
  const entries = Array.from({ length: 500 }, (_, index) => large(index));
  const list = new EntryList('dev', entries);
  list.add(large(500));
  expect([...list.sorted()]).toEqual([...entries, large(500)].sort((a, b) => compareKeys(a.path, b.path)));
});

test('a path that is there twice is refused before anything is given', () => {
  const list = new EntryList('dev', [large(2), large(1), large(2)]);
  expect(() => list.sorted().next()).toThrow(expect.objectContaining({ code: 'usage' }));
});
