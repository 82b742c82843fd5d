// Arbitrary entries of manifests, valid in every respect, for property tests.
import * as fc from 'fast-check';
import { contentKey, fileKey, pathFault } from '../../src/lib/manifest/key-layout.ts';
import type { FileEntry } from '../../src/lib/manifest/types.ts';

const word = fc.integer({ min: 0, max: 0xffff_ffff });

export const anyPath: fc.Arbitrary<string> = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }),
    fc
      .array(fc.constantFrom('a', 'b', 'ab', '.x', 'é', '🙂', '\uffff'), { minLength: 1, maxLength: 5 })
      .map((parts) => parts.join('/')),
  )
  .filter((path) => pathFault(path) === undefined);

/** Pages of one size, or of any, with or without CRCs. */
const pageLengths = fc.oneof(
  fc.array(fc.integer({ min: 1, max: 300_000 }), { maxLength: 5 }),
  fc
    .record({ count: fc.nat(4), last: fc.integer({ min: 1, max: 65_536 }) })
    .map(({ count, last }) => [...Array<number>(count).fill(65_536), last]),
);

const anyEntry: fc.Arbitrary<FileEntry> = fc
  .record({
    path: anyPath,
    lengths: pageLengths,
    firstPageId: fc.constantFrom(0, 0, 7),
    hash: fc.option(fc.stringMatching(/^sha256:[0-9a-f]{64}$/), { nil: undefined }),
    crc: fc.option(word, { nil: undefined }),
    granules: fc.option(word, { nil: undefined }),
    key: fc.constantFrom('of path', 'of content', 'namespaces/dev/files/.packs/x', 'ä/ö'),
    etag: fc.option(
      fc.constantFrom('"abc"', '"d41d8cd98f00b204e9800998ecf8427e"', '"d41d8cd98f00b204e9800998ecf8427e-3"'),
      {
        nil: undefined,
      },
    ),
    sse: fc.option(fc.constant('AES256'), { nil: undefined }),
    off: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 52 })),
    modifiedAtMs: fc.option(fc.maxSafeInteger(), { nil: undefined }),
    extra: fc.option(fc.constant({ owner: { name: 'x' }, storage: { tier: 'cold' } }), { nil: undefined }),
  })
  .map((parts): FileEntry => {
    let off = 0;
    const pages = parts.lengths.map((len, index) => {
      const page = { pageId: index + parts.firstPageId, off, len, crc32c: parts.crc };
      off += len;
      return page;
    });
    const granules = parts.lengths.reduce((sum, len) => sum + Math.ceil(len / 131_072), 0);
    const key =
      parts.key === 'of path'
        ? fileKey('dev', parts.path)
        : parts.key === 'of content'
          ? contentKey('dev', parts.path, parts.hash?.slice(7) ?? '0'.repeat(64))
          : parts.key;
    return {
      path: parts.path,
      sizeBytes: off,
      hash: parts.hash,
      storage: { key, etag: parts.etag, sse: parts.sse, off: parts.off },
      pages,
      granuleCrcs:
        parts.granules === undefined || granules === 0 ? undefined : new Uint32Array(granules).fill(parts.granules),
      modifiedAtMs: parts.modifiedAtMs,
      extra: parts.extra,
    };
  });

/** Paths are unique; in no order. */
export function anyEntries(maxLength: number): fc.Arbitrary<FileEntry[]> {
  return fc.uniqueArray(anyEntry, { selector: (file) => file.path, maxLength });
}
