import { beforeEach, expect, test } from 'vitest';
import { generate } from '../../../src/lib/manifest/generate.ts';
import { fileKey } from '../../../src/lib/manifest/key-layout.ts';
import { pinVersion } from '../../../src/lib/manifest/pinned.ts';
import { publish } from '../../../src/lib/manifest/publisher.ts';
import type { PutDeps } from '../../../src/lib/manifest/put.ts';
import type { FileEntry } from '../../../src/lib/manifest/types.ts';
import { verifyBucket, type BucketFinding } from '../../../src/lib/manifest/verify-bucket.ts';
import type { ObjectStore } from '../../../src/lib/objectstore/object-store.ts';
import { manifestDeps, putObject } from '../../support/manifest-deps.ts';

let deps: PutDeps;

beforeEach(async () => {
  deps = manifestDeps();
  for (const path of ['a', 'b', 'c', 'd']) await putObject(deps.store, fileKey('dev', path), `content of ${path}`);
  await generate(deps, { ns: 'dev', patterns: [], pageSizeBytes: 65536 });
});

async function verify(deep: boolean, store: ObjectStore = deps.store): Promise<string[]> {
  const findings: BucketFinding[] = [];
  const version = await pinVersion(deps, 'dev', { kind: 'head' });
  const result = await verifyBucket({ store }, version, { deep, onFinding: (finding) => findings.push(finding) });
  expect(result).toMatchObject({ files: 4, findings: findings.length });
  return findings.map(({ kind, path }) => `${kind} ${path}`).sort();
}

test('a bucket that is as it was published has no findings', async () => {
  expect(await verify(false)).toEqual([]);
  expect(await verify(true)).toEqual([]);
});

test('an object that is gone, has another size or another ETag is found by the listing', async () => {
  await deps.store.delete({ keys: [fileKey('dev', 'a')] });
  await putObject(deps.store, fileKey('dev', 'b'), 'longer than it was before');
  await putObject(deps.store, fileKey('dev', 'c'), 'content of C');
  expect(await verify(false)).toEqual(['etag c', 'missing a', 'size b']);
});

test('bytes that rotted under the same ETag are found by a deep check', async () => {
  const inner = deps.store;
  const rotten: ObjectStore = Object.assign(Object.create(inner) as ObjectStore, {
    list: inner.list.bind(inner),
    getRange: (request: Parameters<ObjectStore['getRange']>[0], sink: Parameters<ObjectStore['getRange']>[1]) =>
      inner.getRange(request, {
        write: (chunk) => {
          if (request.key === fileKey('dev', 'd')) chunk[3]! ^= 1;
          return sink.write(chunk);
        },
      }),
  });
  expect(await verify(false, rotten)).toEqual([]);
  expect(await verify(true, rotten)).toEqual(['content d']);
});

test.each([
  [
    'a CRC that is not of its bytes',
    (crc: number) => (crc ^ 1) >>> 0,
    ['content a', 'content b', 'content c', 'content d'],
  ],
  ['no CRC', () => undefined, []],
])('pages with %s, in a manifest whose hashes are right, are judged by a deep check', async (_, change, expected) => {
  const head = await pinVersion(deps, 'dev', { kind: 'head' });
  const upserts: FileEntry[] = [];
  for await (const entry of head.list()) {
    const pages = entry.pages.map((page) => ({ ...page, crc32c: change(page.crc32c!) }));
    upserts.push({ ...entry, pages });
  }
  await head.close();
  await publish(deps, { ns: 'dev', plan: () => ({ upserts, removals: [] }) });
  expect(await verify(false)).toEqual([]);
  expect(await verify(true)).toEqual(expected);
});
