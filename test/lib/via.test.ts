// What `--via` asks of a daemon: little for one file, the manifest once for many.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startServer, type BlobServer } from '../../src/lib/blobapi/server.ts';
import type { Config } from '../../src/lib/config/config.ts';
import type { Seekfs } from '../../src/lib/open.ts';
import { MIB } from '../../src/lib/base/units.ts';
import { openVia } from '../../src/lib/via.ts';
import { memoryData, type MemoryData } from '../support/memory-data.ts';

const FILES = 3000;

let data: MemoryData;
let server: BlobServer;
let via: Seekfs;

beforeEach(async () => {
  const files = Array.from({ length: FILES }, (_, index) => [`dir/${index}`, Buffer.from(`${index}`)] as const);
  data = memoryData({ dev: [{ old: Buffer.from('old') }, Object.fromEntries(files)] });
  server = await startServer(data, { listen: { host: '127.0.0.1', port: 0 } });
  via = openVia({ url: server.url, config: { memoryBytesMax: 64 * MIB } as Config });
});

afterEach(async () => {
  await via.close();
  await server.close({ drainMsMax: 0 });
});

const sentBytes = (): number => data.metrics.get('seekfs_http_sent_bytes_total');

test('one file of many costs the header of the manifest and its entry', async () => {
  const version = await via.pin('dev', { kind: 'head' });
  expect([version.version, version.fileCount, version.header.parents]).toEqual([2, FILES, [1]]);
  expect(await version.lookup('dir/77')).toMatchObject({ path: 'dir/77', sizeBytes: 2 });
  expect(await version.lookup('dir/77')).toMatchObject({ path: 'dir/77', sizeBytes: 2 });
  await expect(version.lookup('none')).rejects.toMatchObject({ code: 'path_not_found' });
  expect(sentBytes()).toBeGreaterThan(0);
  expect(sentBytes()).toBeLessThan(4000);
});

test('it stays with the version that it found', async () => {
  const version = await via.pin('dev', { kind: 'head' });
  data.namespaces['dev']!.push({ 'dir/1': Buffer.from('a third version') });
  expect(await version.lookup('dir/1')).toMatchObject({ sizeBytes: 1 });
  const first = await via.pin('dev', { kind: 'version', version: 1, digest: undefined });
  expect(await first.lookup('old')).toMatchObject({ sizeBytes: 3 });
});

test('many files are the whole manifest, once', async () => {
  const version = await via.pin('dev', { kind: 'head' });
  for (let index = 0; index < 200; index += 1) expect((await version.lookup(`dir/${index}`)).path).toBe(`dir/${index}`);
  await expect(version.lookup('none')).rejects.toMatchObject({ code: 'path_not_found' });
  const paths: string[] = [];
  for await (const { path } of version.list({ prefix: 'dir/29' })) paths.push(path);
  expect(paths).toHaveLength(1 + 10 + 100);
  expect(data.metrics.get('seekfs_http_requests_total', { route: 'manifest', status: '200' })).toBe(1 + 32 + 1);
});
