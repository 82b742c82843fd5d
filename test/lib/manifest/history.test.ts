import { beforeEach, expect, test } from 'vitest';
import { generate } from '../../../src/lib/manifest/generate.ts';
import { diffVersions, rollback, versionHistory } from '../../../src/lib/manifest/history.ts';
import { fileKey, manifestKey } from '../../../src/lib/manifest/key-layout.ts';
import { openVersion } from '../../../src/lib/manifest/pinned.ts';
import type { PutDeps } from '../../../src/lib/manifest/put.ts';
import { removeFiles } from '../../../src/lib/manifest/remove.ts';
import type { PinnedVersion } from '../../../src/lib/manifest/types.ts';
import { listEntries, manifestDeps, putObject } from '../../support/manifest-deps.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let deps: PutDeps;

beforeEach(async () => {
  deps = manifestDeps();
  for (const path of ['a', 'b', 'c']) await putObject(deps.store, fileKey('dev', path), path);
  await gen();
  await putObject(deps.store, fileKey('dev', 'b'), 'changed');
  await putObject(deps.store, fileKey('dev', 'd'), 'd');
  await gen();
  await removeFiles(deps, { ns: 'dev', paths: ['a'] });
});

async function gen(): Promise<void> {
  await generate(deps, { ns: 'dev', patterns: [], pageSizeBytes: 65536 });
}

const open = (version: number): Promise<PinnedVersion> => openVersion(deps, 'dev', { version });

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function history(limit = 100): Promise<number[]> {
  const versions = await collect(versionHistory(deps, 'dev', { from: { kind: 'head' }, limit }));
  return versions.map((summary) => summary.version);
}

test('the history goes back from HEAD, as far as it is wanted', async () => {
  expect(await history()).toEqual([3, 2, 1]);
  expect(await history(2)).toEqual([3, 2]);
  const [first] = await collect(versionHistory(deps, 'dev', { from: { kind: 'head' }, limit: 1 }));
  expect(first).toMatchObject({ version: 3, parents: [2], fileCount: 3, totalBytes: 9, tombstones: 1 });
});

test('the history ends where gc has removed a version', async () => {
  await deps.store.delete({ keys: [manifestKey('dev', 2)] });
  expect(await history()).toEqual([3]);
});

test('a version that gc removed is not in the history, and not published again, although this host has it cached', async () => {
  const cached = { ...deps, cachePath: await temporaryDirectory() };
  const all = { from: { kind: 'head' }, limit: 100 } as const;
  expect(await collect(versionHistory(cached, 'dev', all))).toHaveLength(3);
  await deps.store.delete({ keys: [manifestKey('dev', 1), manifestKey('dev', 2)] });
  const held = await openVersion(cached, 'dev', { version: 2 });
  expect(held.version, 'it is cached').toBe(2);
  await held.close();
  expect(await collect(versionHistory(cached, 'dev', all))).toMatchObject([{ version: 3 }]);
  const from2 = versionHistory(cached, 'dev', { from: { kind: 'version', version: 2 }, limit: 100 });
  await expect(collect(from2)).rejects.toMatchObject({ code: 'version_not_found' });
  await expect(rollback(cached, { ns: 'dev', version: 1 })).rejects.toMatchObject({ code: 'version_not_found' });
});

test('a difference names what was added, removed and changed, in the order of paths', async () => {
  const kinds = async (a: number, b: number): Promise<string[]> => {
    const differences = await collect(diffVersions(await open(a), await open(b)));
    return differences.map(({ kind, path }) => `${kind} ${path}`);
  };
  expect(await kinds(1, 3)).toEqual(['removed a', 'changed b', 'added d']);
  expect(await kinds(3, 1)).toEqual(['added a', 'changed b', 'removed d']);
  expect(await kinds(2, 2)).toEqual([]);
});

test('a rollback publishes the old contents as a new version', async () => {
  const before = await listEntries(deps, 'dev', { kind: 'version', version: 1 });
  const report = await rollback(deps, { ns: 'dev', version: 1 });
  expect(report).toMatchObject({ version: 4, addedFiles: 1, changedFiles: 1, removedFiles: 1, carriedFiles: 1 });
  expect(await listEntries(deps, 'dev')).toEqual(before);
  expect((await open(4)).header.parents).toEqual([3]);
});

test('a rollback to what is current makes no version, and to what is not there is version_not_found', async () => {
  expect(await rollback(deps, { ns: 'dev', version: 3 })).toMatchObject({ published: false, version: 3 });
  await expect(rollback(deps, { ns: 'dev', version: 9 })).rejects.toMatchObject({ code: 'version_not_found' });
});
