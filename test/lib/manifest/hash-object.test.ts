import { createHash } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { crc32c, loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import type { ByteRange } from '../../../src/lib/base/byte-range.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { ChecksumPool } from '../../../src/lib/manifest/checksum-pool.ts';
import { hashObjectRange } from '../../../src/lib/manifest/hash-object.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import { putObject } from '../../support/manifest-deps.ts';

/** What one GET brings at most, and a bit; numbered, so that no part looks like another. */
const BYTES = Buffer.alloc(64 * MIB + 100 * KIB);
for (let at = 0; at < BYTES.length; at += 4096) BYTES.writeUInt32LE(at, at);

beforeAll(loadCrc32c);

test.each([
  ['a large object', { off: 0, len: BYTES.length }, 2],
  ['a member of a large object', { off: 5000, len: 64 * MIB + 1 }, 2],
  ['a member that one GET brings', { off: 70 * KIB, len: 64 * MIB }, 1],
  ['an empty member', { off: 70 * KIB, len: 0 }, 0],
])('%s is hashed in its order, by GETs of at most 64 MiB', async (_, member, gets) => {
  const store = new MemoryObjectStore();
  const etag = await putObject(store, 'k', BYTES);
  const ranges: ByteRange[] = [];
  const getRange = store.getRange.bind(store);
  store.getRange = (request, sink) => {
    ranges.push(request.range);
    expect(request.ifMatch).toBe(etag);
    return getRange(request, sink);
  };
  let seenBytes = 0;
  const pool = await ChecksumPool.open({ threadsMax: 0 });
  const reading = { onBytes: (bytes: number) => (seenBytes += bytes), signal: undefined };
  const object = { key: 'k', etag, off: member.off, sizeBytes: member.len, pageSizeBytes: 64 * MIB };
  const checksums = await hashObjectRange(store, pool, object, reading);
  await pool.close();
  const expected = BYTES.subarray(member.off, member.off + member.len);
  expect(checksums.hash).toBe(`sha256:${createHash('sha256').update(expected).digest('hex')}`);
  expect(checksums.pages.map((page) => page.crc32c)).toEqual(
    Array.from({ length: Math.ceil(expected.length / (64 * MIB)) }, (_each, page) =>
      crc32c(expected.subarray(page * 64 * MIB, (page + 1) * 64 * MIB)),
    ),
  );
  expect(seenBytes).toBe(member.len);
  expect(ranges).toHaveLength(gets);
});
