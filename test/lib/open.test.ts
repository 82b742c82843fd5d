// What the composition root makes of the keys that are about fetching: what reaches the store.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { GIB, KIB, MIB } from '../../src/lib/base/units.ts';
import { openSeekfs, type Seekfs } from '../../src/lib/open.ts';
import { testConfig } from '../support/config.ts';
import { collect, publishBytes, someBytes } from '../support/data-set.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { openS3Store } from '../support/s3-store.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const bytes = someBytes(4 * MIB);
let server: FaultyS3;
let seekfs: Seekfs;

beforeEach(async () => {
  server = await new FaultyS3().listen();
  const store = openS3Store(server.options());
  await publishBytes(store, [{ path: 'a', bytes, pageSizeBytes: 4 * MIB }]);
  await store.close();
  server.log.length = 0;
});

afterEach(async () => {
  await seekfs.close();
  await server.close();
});

async function open(read: string, s3: string): Promise<void> {
  const directory = await temporaryDirectory('seekfs-open');
  const text = `[cache.l2]\nbackend = "mem"\n[read]\n${read}\n[s3]\nbucket = "bucket"\nendpoint = "${server.endpoint}"
access_key_id = "key"\nsecret_access_key = "secret"\nengine = "undici"\n${s3}\n`;
  const config = await testConfig(text, { usableMemoryBytes: 2 * GIB, env: { XDG_CACHE_HOME: directory } });
  seekfs = openSeekfs(config);
}

/** The ranges of the GETs of the file that the read cost, by their beginnings. */
async function rangesOf(extents: readonly { off: number; len: number }[]): Promise<string[]> {
  const version = await seekfs.pin('dev', { kind: 'version', version: 1, digest: undefined });
  const reader = await seekfs.reader();
  const [first] = extents;
  const slabs =
    extents.length > 1
      ? reader.readv(
          version,
          extents.map((extent) => ({ path: 'a', ...extent })),
        )
      : reader.stream(version, await version.lookup('a'), first!);
  const expected = Buffer.concat(extents.map(({ off, len }) => bytes.subarray(off, off + len)));
  expect((await collect(slabs)).equals(expected)).toBe(true);
  await version.close();
  return server.log
    .filter(({ operation, key }) => operation === 'GET' && key.endsWith('files/a'))
    .map(({ range }) => range!.slice('bytes='.length))
    .sort((a, b) => Number.parseInt(a) - Number.parseInt(b));
}

test('a random read fetches one granule, or as much as fetch_quantum_kib says', async () => {
  await open('', '');
  expect(await rangesOf([{ off: MIB + 5, len: 4096 }])).toEqual([`${MIB}-${MIB + 128 * KIB - 1}`]);
  await seekfs.close();
  server.log.length = 0;
  await open('fetch_quantum_kib = 512', '');
  expect(await rangesOf([{ off: MIB + 5, len: 4096 }])).toEqual([`${MIB}-${MIB + 512 * KIB - 1}`]);
});

test('range_coalesce_gap_kib says how far apart two misses may be for one GET', async () => {
  const extents = [0, 384 * KIB].map((off) => ({ off, len: 4096 }));
  await open('', '');
  expect(await rangesOf(extents)).toEqual([`0-${512 * KIB - 1}`]);
  await seekfs.close();
  server.log.length = 0;
  await open('', 'range_coalesce_gap_kib = 128');
  expect(await rangesOf(extents)).toEqual([`0-${128 * KIB - 1}`, `${384 * KIB}-${512 * KIB - 1}`]);
});

test('part_size_mib is the size of the GETs of a stream', async () => {
  await open('part_size_mib = 2', '');
  const whole = { off: 0, len: bytes.length };
  expect(await rangesOf([whole])).toEqual([`0-${2 * MIB - 1}`, `${2 * MIB}-${4 * MIB - 1}`]);
});

test('get_budget_mib_per_sec is spent by what is read', async () => {
  await open('', 'get_budget_mib_per_sec = 0.125');
  expect(seekfs.store.exhausted).toBeUndefined();
  expect(await rangesOf([{ off: 0, len: bytes.length }])).toHaveLength(1);
  // One GET may overdraw: 4 MiB are paid for in half a minute.
  expect(seekfs.store.exhausted).toBe('bytes');
});
