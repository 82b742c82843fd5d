import * as fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import { ByteWriter } from '../../../src/lib/manifest/byte-cursor.ts';
import { IndexWriter } from '../../../src/lib/manifest/index-format.ts';
import { encodeRecord } from '../../../src/lib/manifest/index-record.ts';
import { IndexVersion, memorySource } from '../../../src/lib/manifest/index-version.ts';
import { compareKeys } from '../../../src/lib/objectstore/key.ts';
import type { FileEntry, ManifestHeader } from '../../../src/lib/manifest/types.ts';
import { anyEntries, anyPath } from '../../support/file-entries.ts';

beforeAll(() => loadCrc32c());

const header: ManifestHeader = {
  version: 3,
  parents: [2],
  tombstones: ['old'],
  createdAtS: 1,
  publishId: undefined,
  index: undefined,
};

function write(entries: readonly FileEntry[]): Buffer {
  const writer = new IndexWriter('dev');
  for (const entry of entries) expect(writer.add(entry)).toBe(true);
  writer.finish(header);
  return Buffer.concat(writer.takeBytes());
}

function open(bytes: Buffer): Promise<IndexVersion> {
  return IndexVersion.open({ ns: 'dev', digest: 'sha256:x' }, memorySource(bytes));
}

async function collect(items: AsyncIterable<FileEntry>): Promise<FileEntry[]> {
  const all: FileEntry[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function plain(path: string): FileEntry {
  return {
    path,
    sizeBytes: 1,
    hash: `sha256:${'7'.repeat(64)}`,
    storage: { key: `namespaces/dev/files/${path}`, etag: '"e"', sse: undefined, off: 0 },
    pages: [{ pageId: 0, off: 0, len: 1, crc32c: 5 }],
    granuleCrcs: undefined,
    modifiedAtMs: undefined,
    extra: undefined,
  };
}

/** Enough of them for several blocks. */
const many = Array.from({ length: 3000 }, (_, index) =>
  plain(`dir-${String(index % 7)}/${String(index).padStart(6, '0')}.jpg`),
).sort((a, b) => compareKeys(a.path, b.path));

describe('an index', () => {
  test('gives back every entry as it was, by listing and by path, for any entries', async () => {
    await fc.assert(
      fc.asyncProperty(anyEntries(20), async (entries) => {
        entries.sort((a, b) => compareKeys(a.path, b.path));
        const version = await open(write(entries));
        expect(await collect(version.list())).toEqual(entries);
        for (const entry of entries) expect(await version.lookup(entry.path)).toEqual(entry);
        expect(version.fileCount).toBe(entries.length);
        expect(version.totalBytes).toBe(entries.reduce((sum, entry) => sum + entry.sizeBytes, 0));
        expect(version.header).toEqual(header);
      }),
      { numRuns: 100 },
    );
  });

  test('lists a prefix, and what comes after a path, as filtering all entries would', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyEntries(20),
        anyPath,
        fc.option(anyPath, { nil: undefined }),
        async (entries, path, startAfter) => {
          entries.sort((a, b) => compareKeys(a.path, b.path));
          const version = await open(write(entries));
          for (const prefix of ['', path, `${path}/`, entries[0]?.path.slice(0, 1) ?? '']) {
            const expected = entries.filter(
              (entry) =>
                Buffer.from(entry.path).subarray(0, Buffer.byteLength(prefix)).equals(Buffer.from(prefix)) &&
                (startAfter === undefined || compareKeys(entry.path, startAfter) > 0),
            );
            expect(await collect(version.list({ prefix, startAfter }))).toEqual(expected);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  test('of many files reads one block for a lookup', async () => {
    const bytes = write(many);
    const reads: number[] = [];
    const version = await IndexVersion.open(
      { ns: 'dev', digest: 'sha256:x' },
      {
        sizeBytes: bytes.length,
        read: (off, len) => {
          reads.push(len);
          return Promise.resolve(bytes.subarray(off, off + len));
        },
        close: () => Promise.resolve(),
      },
    );
    const opening = reads.length;
    expect(opening).toBe(2);
    for (const index of [0, 1234, many.length - 1])
      expect(await version.lookup(many[index]!.path)).toEqual(many[index]);
    expect(reads.length - opening).toBe(3);
    expect(Math.max(...reads.slice(opening))).toBeLessThan(40_000);
    expect(bytes.length).toBeGreaterThan(150_000);
  });

  test.each(['', 'a', 'dir-3', 'dir-3/', 'dir-3/0', 'dir-6/999999.jpg', 'zzz', '\uffff'])(
    'without the path %j is path_not_found',
    async (path) => {
      const version = await open(write(many));
      await expect(version.lookup(path)).rejects.toMatchObject({ code: 'path_not_found' });
    },
  );

  test('takes no path twice and none out of order', () => {
    const writer = new IndexWriter('dev');
    expect(writer.add(plain('b'))).toBe(true);
    expect(writer.add(plain('b'))).toBe(false);
    expect(writer.add(plain('a'))).toBe(false);
    expect(writer.add(plain('c'))).toBe(true);
    expect(writer.fileCount).toBe(2);
  });
});

test('any damage is cache_corrupt, never another answer', async () => {
  const good = write(many.slice(0, 400));
  const expected = await collect((await open(good)).list());
  let found = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.nat(good.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.boolean(),
      async (at, flip, isCut) => {
        const bad = isCut ? Buffer.from(good.subarray(0, at)) : Buffer.from(good);
        if (!isCut) bad[at]! ^= flip;
        try {
          expect(await collect((await open(bad)).list())).toEqual(expected);
          // Only the magic at the start is not read.
          expect(at).toBeLessThan(8);
        } catch (error) {
          expect(error).toMatchObject({ code: 'cache_corrupt' });
          found += 1;
        }
      },
    ),
    { numRuns: 200 },
  );
  expect(found).toBeGreaterThan(100);
});

describe('an index whose checksums are right, of somebody who means harm,', () => {
  const record = (): Buffer => {
    const writer = new ByteWriter();
    encodeRecord(writer, 'dev', plain('a'));
    return writer.take();
  };

  test.each(['../a', '/a', 'a//b', 'nul\0', ''])('does not bring the path %j', async (path) => {
    const writer = new IndexWriter('dev');
    writer.addRecord(Buffer.from(path), record(), 9);
    writer.finish(header);
    const version = await open(Buffer.concat(writer.takeBytes()));
    await expect(collect(version.list())).rejects.toMatchObject({ code: 'cache_corrupt' });
    await expect(version.lookup(path)).rejects.toMatchObject({ code: 'cache_corrupt' });
  });

  test.each([
    ['no version', { ...header, version: 0 }],
    ['a tombstone that is no path', { ...header, tombstones: ['../a'] }],
    ['no tombstones', { ...header, tombstones: undefined }],
    ['no header', null],
  ])('is refused with %s', async (_name, forged) => {
    const writer = new IndexWriter('dev');
    writer.finish(forged as ManifestHeader);
    await expect(open(Buffer.concat(writer.takeBytes()))).rejects.toMatchObject({ code: 'cache_corrupt' });
  });
});
