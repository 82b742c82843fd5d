import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { encodeManifest } from '../../../src/lib/manifest/codec.ts';
import { buildIndex } from '../../../src/lib/manifest/index-build.ts';
import type * as Compile from '../../../src/lib/manifest/index-compile.ts';
import { FileSpool, MemorySpool } from '../../../src/lib/manifest/index-spool.ts';
import type { FileEntry } from '../../../src/lib/manifest/types.ts';
import { compileForNode } from '../../support/compiled.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let compiled: typeof Compile;
let large: Buffer;

beforeAll(async () => {
  const [compile] = await compileForNode(['src/lib/manifest/index-compile.ts', 'src/lib/manifest/index-worker.ts']);
  compiled = (await import(compile!)) as typeof Compile;
  const header = { version: 1, parents: [], tombstones: [], createdAtS: 0, publishId: undefined, index: undefined };
  const chunks: Buffer[] = [];
  for await (const chunk of encodeManifest(header, entries())) chunks.push(chunk);
  large = Buffer.concat(chunks);
  // Large enough for the thread.
  expect(large.length).toBeGreaterThan(1024 * 1024);
});

function* entries(): Iterable<FileEntry> {
  for (let index = 0; index < 25_000; index += 1) {
    const hex = createHash('sha256').update(String(index)).digest('hex');
    // In no order.
    yield {
      path: hex,
      sizeBytes: 1,
      hash: `sha256:${hex}`,
      storage: { key: `k/${hex}`, etag: '"e"', sse: undefined, off: 0 },
      pages: [{ pageId: 0, off: 0, len: 1, crc32c: index }],
      granuleCrcs: undefined,
      modifiedAtMs: undefined,
      extra: undefined,
    };
  }
}

test('a worker thread writes the index that this thread would write, of files in any order', async () => {
  const directory = await temporaryDirectory('seekfs-index');
  const spool = await FileSpool.create(directory);
  await compiled.compileIndex({ ns: 'dev', version: 1, bytes: large }, spool);
  const here = new MemorySpool();
  await buildIndex({ ns: 'dev', version: 1, bytes: large }, here);
  const source = await here.source();
  expect((await readFile(spool.path)).equals(await source.read(0, source.sizeBytes))).toBe(true);
  await spool.drop();
  expect(await readdir(directory)).toEqual([]);
});

test('an error in the thread keeps its code', async () => {
  const spool = await FileSpool.create(await temporaryDirectory('seekfs-index'));
  const broken = Buffer.concat([large.subarray(0, -500), Buffer.alloc(500)]);
  await expect(compiled.compileIndex({ ns: 'dev', version: 1, bytes: broken }, spool)).rejects.toMatchObject({
    code: 'manifest_invalid',
  });
  await spool.drop();
});

test('an aborted signal ends the thread', async () => {
  const spool = await FileSpool.create(await temporaryDirectory('seekfs-index'));
  const abort = new AbortController();
  const running = compiled.compileIndex({ ns: 'dev', version: 1, bytes: large }, spool, abort.signal);
  abort.abort();
  await expect(running).rejects.toMatchObject({ code: 'interrupted' });
  await spool.drop();
});
