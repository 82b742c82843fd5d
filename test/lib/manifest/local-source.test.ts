import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { crc32c, loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import type { Disk } from '../../../src/lib/disk/disk.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { ChecksumPool } from '../../../src/lib/manifest/checksum-pool.ts';
import { hashSource, ONE_READ_BYTES_MAX } from '../../../src/lib/manifest/local-source.ts';
import type { LocalFile } from '../../../src/lib/manifest/local-tree.ts';
import type { PutSource } from '../../../src/lib/objectstore/object-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const SIZE_BYTES = ONE_READ_BYTES_MAX + 1_000_000;
const CHANGED_AT = ONE_READ_BYTES_MAX + 500_000;

/** Once it is told to, it gives one byte of the file differently, as after a write that left size and time as they were. */
function changingDisk(): { disk: Disk; change: () => void } {
  let changed = false;
  const open: Disk['open'] = async (path, mode) => {
    const file = await nodeDisk.open(path, mode);
    const read = file.read.bind(file);
    file.read = async (buffers, position) => {
      const length = await read(buffers, position);
      const at = CHANGED_AT - position;
      if (changed && at >= 0 && at < length) buffers[0]![at]! ^= 1;
      return length;
    };
    return file;
  };
  return { disk: { ...nodeDisk, open }, change: () => (changed = true) };
}

async function drain(source: PutSource, range = { off: 0, len: SIZE_BYTES }): Promise<number> {
  if (source.kind !== 'stream') throw new Error('a large file is read twice');
  let bytes = 0;
  for await (const chunk of source.open(range)) bytes += chunk.length;
  return bytes;
}

test('a large file that differs in one byte at its second reading is an error before that byte is given', async () => {
  const sourcePath = join(await temporaryDirectory('seekfs-local-source'), 'large.bin');
  const bytes = Buffer.alloc(SIZE_BYTES, 'seekfs');
  await writeFile(sourcePath, bytes);
  await loadCrc32c();
  const { disk, change } = changingDisk();
  const file: LocalFile = { kind: 'file', sourcePath, path: 'large.bin', stat: await disk.stat(sourcePath) };
  const pool = await ChecksumPool.open();
  const { source, checksums } = await hashSource({ disk, pool }, file, { pageSizeBytes: 8 * 1024 * 1024 });
  await pool.close();
  expect(checksums.sizeBytes).toBe(SIZE_BYTES);
  expect(await drain(source)).toBe(SIZE_BYTES);
  // Multipart puts send the CRC of each part before its bytes.
  const crc32cOf = source.kind === 'stream' ? source.crc32cOf! : () => undefined;
  const [granule, part] = [128 * 1024, 16 * 1024 * 1024];
  for (const [off, end] of [
    [0, part],
    [granule, 2 * part],
    [4 * part, SIZE_BYTES],
    [0, SIZE_BYTES],
  ] as const) {
    expect(crc32cOf({ off, len: end - off })).toBe(crc32c(bytes.subarray(off, end)));
  }
  expect(crc32cOf({ off: 1, len: granule })).toBeUndefined();
  expect(crc32cOf({ off: 0, len: granule + 1 })).toBeUndefined();
  change();
  await expect(drain(source)).rejects.toMatchObject({ code: 'source_changed' });
  await expect(drain(source, { off: CHANGED_AT - 10, len: 5 })).rejects.toMatchObject({ code: 'source_changed' });
  // What the byte is not in is as it was.
  expect(await drain(source, { off: 0, len: ONE_READ_BYTES_MAX })).toBe(ONE_READ_BYTES_MAX);
});
