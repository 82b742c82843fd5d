import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import type * as Pool from '../../../src/lib/manifest/checksum-pool.ts';
import { FileChecksums } from '../../../src/lib/manifest/checksums.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { compileForNode } from '../../support/compiled.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const MIB = 1024 * 1024;
let compiled: typeof Pool;

beforeAll(async () => {
  await loadCrc32c();
  const [pool] = await compileForNode(['src/lib/manifest/checksum-pool.ts', 'src/lib/manifest/checksum-worker.ts']);
  compiled = (await import(pool!)) as typeof Pool;
});

function bytesOf(file: number, sizeBytes: number): Uint8Array {
  return Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 31 + file * 7 + (at >> 13)) & 0xff);
}

test('worker threads give the checksums that this thread gives, for files that go by at once', async () => {
  const pool = await compiled.ChecksumPool.open({ threadsMax: 2 });
  try {
    const sizes = [2 * MIB, 3 * MIB + 17, MIB + 1, 5000, 0];
    await Promise.all(
      sizes.map(async (sizeBytes, file) => {
        const bytes = bytesOf(file, sizeBytes);
        const hashing = pool.hash({ sizeBytes, pageSizeBytes: 256 * 1024 });
        expect(hashing.direct === undefined).toBe(sizeBytes > MIB);
        const block = new SharedArrayBuffer(100_000);
        for (let at = 0; at < sizeBytes; at += block.byteLength) {
          const part = bytes.subarray(at, at + block.byteLength);
          // Whoever wrote into it before the thread was done with it would change the checksums.
          new Uint8Array(block).set(part);
          await hashing.update(block, part.length);
          new Uint8Array(block).fill(0);
        }
        const expected = new FileChecksums(256 * 1024);
        expected.update(bytes);
        expect(await hashing.finish()).toEqual(expected.finish());
      }),
    );
  } finally {
    await pool.close();
  }
});

test('a file that is given up leaves its thread to others, and a closed pool fails what is under way', async () => {
  const pool = await compiled.ChecksumPool.open({ threadsMax: 1 });
  const file = { sizeBytes: 2 * MIB, pageSizeBytes: 65_536 };
  const dropped = pool.hash(file);
  await dropped.update(new SharedArrayBuffer(10), 10);
  dropped.drop();
  const other = pool.hash(file);
  await other.update(new SharedArrayBuffer(10), 10);
  expect(await other.finish()).toMatchObject({ sizeBytes: 10 });
  const last = pool.hash(file);
  const failing = last.update(new SharedArrayBuffer(64 * MIB), 64 * MIB).catch((error: unknown) => error);
  await pool.close();
  expect(await failing).toMatchObject({ message: 'a hashing thread ended' });
});

test('a thread reads an open file by itself, says where it ends, and fails that file alone when it cannot be read', async () => {
  const pool = await compiled.ChecksumPool.open({ threadsMax: 1 });
  const directory = await temporaryDirectory();
  const bytes = bytesOf(3, 2 * MIB + 777);
  await writeFile(join(directory, 'f'), bytes);
  const file = await nodeDisk.open(join(directory, 'f'), 'read');
  const notAFile = await nodeDisk.open(directory, 'read');
  try {
    const shape = { sizeBytes: bytes.length, pageSizeBytes: 256 * 1024 };
    const hashing = pool.hash(shape);
    const failing = pool.hash(shape);
    const taken = [
      hashing.take!({ fd: file.fd!, off: 100, len: MIB }),
      hashing.take!({ fd: file.fd!, off: 100 + MIB, len: 2 * MIB }),
    ];
    await expect(failing.take!({ fd: notAFile.fd!, off: 0, len: 10 })).rejects.toMatchObject({ code: 'EISDIR' });
    failing.drop();
    expect(await Promise.all(taken)).toEqual([MIB, MIB + 677]);
    const expected = new FileChecksums(256 * 1024);
    expected.update(bytes.subarray(100));
    expect(await hashing.finish()).toEqual(expected.finish());
  } finally {
    await pool.close();
    await file.close();
    await notAFile.close();
  }
});
