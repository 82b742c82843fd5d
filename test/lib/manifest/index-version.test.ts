import { beforeAll, expect, test } from 'vitest';
import { loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import { IndexWriter } from '../../../src/lib/manifest/index-format.ts';
import { IndexVersion, memorySource, type IndexSource } from '../../../src/lib/manifest/index-version.ts';
import { compareKeys } from '../../../src/lib/objectstore/key.ts';
import type { FileEntry } from '../../../src/lib/manifest/types.ts';

beforeAll(() => loadCrc32c());

function entryOf(path: string, etag: string | undefined): FileEntry {
  return {
    path,
    sizeBytes: 1,
    hash: `sha256:${'7'.repeat(64)}`,
    storage: { key: `namespaces/dev/files/${path}`, etag, sse: undefined, off: 0 },
    pages: [{ pageId: 0, off: 0, len: 1, crc32c: 5 }],
    granuleCrcs: undefined,
    modifiedAtMs: undefined,
    extra: undefined,
  };
}

async function open(entries: readonly FileEntry[]): Promise<{ version: IndexVersion; reads: () => number }> {
  const writer = new IndexWriter('dev');
  for (const entry of [...entries].sort((a, b) => compareKeys(a.path, b.path))) writer.add(entry);
  writer.finish({ version: 1, parents: [], tombstones: [], createdAtS: 1, publishId: undefined, index: undefined });
  const memory = memorySource(Buffer.concat(writer.takeBytes()));
  let reads = 0;
  const counting: IndexSource = {
    ...memory,
    read: (off, len) => {
      reads += 1;
      return memory.read(off, len);
    },
  };
  return { version: await IndexVersion.open({ ns: 'dev', digest: 'sha256:x' }, counting), reads: () => reads };
}

test('a file that is looked up again is the same entry, with no read of the index', async () => {
  const { version, reads } = await open([entryOf('a', '"e"'), entryOf('b', '"e"')]);
  const first = await version.lookup('a');
  const before = reads();
  expect(await version.lookup('a')).toBe(first);
  expect(reads()).toBe(before);
});

test('a file without an ETag is a new entry at each lookup: each open file pins the ETag that it meets', async () => {
  const { version } = await open([entryOf('a', undefined)]);
  const first = await version.lookup('a');
  const second = await version.lookup('a');
  expect(second).toEqual(first);
  expect(second).not.toBe(first);
});

test('more files than are kept are all found, and the bound on them holds', async () => {
  const paths = Array.from({ length: 300 }, (_, index) => `f-${index}`);
  const { version } = await open(paths.map((path) => entryOf(path, '"e"')));
  const first = await version.lookup('f-0');
  for (const path of paths) expect((await version.lookup(path)).path).toBe(path);
  expect(await version.lookup('f-0')).not.toBe(first);
});
