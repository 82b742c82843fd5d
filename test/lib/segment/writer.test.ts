import { join } from 'node:path';
import { expect, test } from 'vitest';
import { crc32c, loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import { isPageAligned, pageAlignedMemory } from '../../../src/lib/base/page-aligned.ts';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import type { Disk } from '../../../src/lib/disk/disk.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { BLOCK_BYTES, recordBytes, type RecordEntry } from '../../../src/lib/segment/format.ts';
import { readBlocks, readRecordHead } from '../../../src/lib/segment/reader.ts';
import { readFooter, readSegmentHeader, scanRecords } from '../../../src/lib/segment/scan.ts';
import { recordRoomBytes, SegmentWriter, type Append } from '../../../src/lib/segment/writer.ts';

import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { watchedWrites } from '../../support/watched-writes.ts';

await loadCrc32c();

const ID = Buffer.alloc(16, 9);
const LARGE = 256 * KIB;
/** Sizes of payloads on both sides of the one from which they are aligned, whole blocks of the file system and others. */
const SIZES = [LARGE, 100, LARGE + 1, LARGE, LARGE - 1, MIB, 4 * KIB, LARGE + 4 * KIB, LARGE + 100, LARGE];

function append(payload: Buffer, index: number): Append {
  const blocks = Math.ceil(payload.length / BLOCK_BYTES);
  const blockCrcs = Uint32Array.from({ length: blocks }, (_, block) =>
    crc32c(payload.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES)),
  );
  const key = { group: Buffer.from('group'.repeat(index)), item: Buffer.from(String(index)) };
  return { record: { kind: 1, ...key, payloadBytes: payload.length, writtenAtMs: 1, blockCrcs }, payload: [payload] };
}

/** Appends in page-aligned memory, as slabs are. */
function appendsOf(sizes: readonly number[]): Append[] {
  const random = seededRandom(64);
  return sizes.map((size, index) => {
    const payload = pageAlignedMemory(size).subarray(0, size);
    payload.set(random.bytes(size));
    return append(payload, index);
  });
}

async function create(disk: Disk = nodeDisk) {
  const directoryPath = await temporaryDirectory('seekfs-writer');
  const creation = { disk, directoryPath, id: ID, reservedBytes: 16 * MIB, owner: 'test', nowMs: 1 };
  return { writer: await SegmentWriter.create(creation), directoryPath };
}

const place = ({ offset, headBytes, payloadBytes }: RecordEntry): number[] => [offset, headBytes, payloadBytes];

test.each([{ direct: true }, { direct: false }, undefined])(
  'records of all sizes are there as written, %o',
  async (options) => {
    const { writer, directoryPath } = await create();
    const appends = appendsOf(SIZES);
    const entries = [
      ...(await writer.append(appends.slice(0, 3), options)),
      ...(await writer.append(appends.slice(3, 4), options)),
      ...(await writer.append(appends.slice(4), options)),
    ];
    const sizeBytes = writer.position;
    const openFile = await nodeDisk.open(join(directoryPath, writer.openName), 'read');
    const from = (await readSegmentHeader(openFile))!.headerBytes;
    const scanned = await scanRecords(openFile, { id: ID, sizeBytes, from, resync: false });
    expect(scanned.entries.map(place)).toEqual(entries.map(place));
    await openFile.close();

    await writer.seal({ durable: true });
    const path = join(directoryPath, `${ID.toString('hex')}.seg`);
    const file = await nodeDisk.open(path, 'read');
    const footer = await readFooter(file, { id: ID, sizeBytes: (await file.stat()).sizeBytes });
    expect(footer!.entries.map(place)).toEqual(entries.map(place));
    for (const [index, entry] of entries.entries()) {
      const head = await readRecordHead(file, { segmentId: ID, ...entry });
      const bytes = Buffer.alloc(entry.payloadBytes);
      expect(await readBlocks(file, head!, 0, [bytes])).toBe(true);
      expect(bytes.equals(appends[index]!.payload[0]!)).toBe(true);
      const isLarge = entry.payloadBytes >= LARGE;
      if (isLarge) expect((entry.offset + entry.headBytes) % (4 * KIB)).toBe(0);
      expect(recordBytes(entry)).toBeLessThanOrEqual(recordRoomBytes(entry, entry.payloadBytes));
    }
    await file.close();
  },
);

test('several records take one write, in which everything that can be is in aligned memory', async () => {
  const written: (readonly Uint8Array[])[] = [];
  const disk = watchedWrites(nodeDisk, (write, [buffers]) => {
    written.push(buffers);
    return write();
  });
  const { writer } = await create(disk);
  written.length = 0;
  await writer.append(appendsOf(SIZES), { direct: true });
  expect(written).toHaveLength(1);
  expect(written[0]!.map(isPageAligned)).toEqual(SIZES.flatMap(() => [true, true]));
  await writer.abandon();
});

test('a head of several pages is written past the page cache as well', async () => {
  const { writer, directoryPath } = await create();
  const [small, large] = appendsOf([LARGE, MIB]);
  const record = { ...large!.record, group: Buffer.alloc(8 * KIB, 'g') };
  const entries = await writer.append([small!, { ...large!, record }], { direct: true });
  const file = await nodeDisk.open(join(directoryPath, writer.openName), 'read');
  const head = await readRecordHead(file, { segmentId: ID, ...entries[1]! });
  expect(await readBlocks(file, head!, 0, [Buffer.alloc(MIB)])).toBe(true);
  await file.close();
  await writer.abandon();
});

test('more heads than there is aligned room for are written as well', async () => {
  const { writer, directoryPath } = await create();
  const appends = Array.from({ length: 300 }, (_, index) => append(Buffer.alloc(5000, index), index % 10));
  const entries = await writer.append(appends, { direct: true });
  const file = await nodeDisk.open(join(directoryPath, writer.openName), 'read');
  const from = entries[0]!.offset;
  const scanned = await scanRecords(file, { id: ID, sizeBytes: writer.position, from, resync: false });
  expect(scanned.entries).toHaveLength(300);
  await file.close();
  await writer.abandon();
});
