import { join } from 'node:path';
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { crc32c, loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import type { DiskFile } from '../../../src/lib/disk/disk.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { BLOCK_BYTES, type RecordEntry, type RecordHead } from '../../../src/lib/segment/format.ts';
import { areIntact, readBlocks, readRecordHead } from '../../../src/lib/segment/reader.ts';
import { SegmentWriter } from '../../../src/lib/segment/writer.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

await loadCrc32c();

const SEGMENT_ID = Buffer.alloc(16, 7);
const PAYLOAD = Buffer.from(Uint8Array.from({ length: 3 * BLOCK_BYTES + 100 }, (_, at) => at * 31 + (at >>> 14)));

/** A segment of two records with the same payload, so that bytes of the one would pass as the other's by their CRC alone. */
async function segment(): Promise<{ path: string; entries: readonly RecordEntry[] }> {
  const directoryPath = await temporaryDirectory('seekfs-reader');
  const creation = { disk: nodeDisk, directoryPath, id: SEGMENT_ID, reservedBytes: 1 << 20, owner: 'test', nowMs: 1 };
  const writer = await SegmentWriter.create(creation);
  const blockCrcs = Uint32Array.from({ length: 4 }, (_, block) =>
    crc32c(PAYLOAD.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES)),
  );
  const entries: RecordEntry[] = [];
  for (const item of ['first', 'other']) {
    const key = { group: Buffer.from('group'), item: Buffer.from(item) };
    const record = { kind: 1, ...key, payloadBytes: PAYLOAD.length, writtenAtMs: 1, blockCrcs };
    entries.push(...(await writer.append([{ record, payload: [PAYLOAD] }])));
  }
  await writer.seal({ durable: false });
  return { path: join(directoryPath, `${SEGMENT_ID.toString('hex')}.seg`), entries };
}

async function withFile<T>(path: string, use: (file: DiskFile) => Promise<T>): Promise<T> {
  const file = await nodeDisk.open(path, 'read');
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

function headOf(file: DiskFile, { offset, headBytes }: RecordEntry): Promise<RecordHead | undefined> {
  return readRecordHead(file, { segmentId: SEGMENT_ID, offset, headBytes });
}

test('blocks are given back as they were written, from any block on', async () => {
  const { path, entries } = await segment();
  await withFile(path, async (file) => {
    const head = (await headOf(file, entries[0]!))!;
    const whole = Buffer.alloc(PAYLOAD.length);
    expect(await readBlocks(file, head, 0, [whole])).toBe(true);
    expect(whole.equals(PAYLOAD)).toBe(true);
    const rest = [Buffer.alloc(BLOCK_BYTES), Buffer.alloc(100)];
    expect(await readBlocks(file, head, 2, rest)).toBe(true);
    expect(Buffer.concat(rest).equals(PAYLOAD.subarray(2 * BLOCK_BYTES))).toBe(true);
  });
});

test('a block with one bit changed is refused, and those beside it are not', async () => {
  const { path, entries } = await segment();
  const bytes = readFileSync(path);
  const { offset, headBytes } = entries[0]!;
  bytes[offset + headBytes + BLOCK_BYTES + 5]! ^= 1;
  writeFileSync(path, bytes);
  await withFile(path, async (file) => {
    const head = (await headOf(file, entries[0]!))!;
    const intact: boolean[] = [];
    for (let block = 0; block < 3; block += 1) {
      intact.push(await readBlocks(file, head, block, [Buffer.alloc(BLOCK_BYTES)]));
    }
    expect(intact).toEqual([true, false, true]);
  });
});

test('blocks that are read together are refused for one bit, and for the order of them', async () => {
  const { path, entries } = await segment();
  await withFile(path, async (file) => {
    const head = (await headOf(file, entries[0]!))!;
    const blocks = Buffer.from(PAYLOAD);
    expect(areIntact(head, 0, blocks)).toBe(true);
    for (const at of [0, BLOCK_BYTES - 1, 2 * BLOCK_BYTES, PAYLOAD.length - 1]) {
      blocks[at]! ^= 8;
      expect(areIntact(head, 0, blocks)).toBe(false);
      blocks[at]! ^= 8;
    }
    const second = blocks.subarray(BLOCK_BYTES, 2 * BLOCK_BYTES);
    expect(areIntact(head, 1, blocks.subarray(BLOCK_BYTES))).toBe(true);
    expect(areIntact(head, 0, Buffer.concat([second, blocks.subarray(0, BLOCK_BYTES)]))).toBe(false);
  });
});

test('a file that ends within the payload is refused', async () => {
  const { path, entries } = await segment();
  const { offset, headBytes } = entries[1]!;
  writeFileSync(path, readFileSync(path).subarray(0, offset + headBytes + BLOCK_BYTES + 1));
  await withFile(path, async (file) => {
    const head = (await headOf(file, entries[1]!))!;
    expect(await readBlocks(file, head, 0, [Buffer.alloc(BLOCK_BYTES)])).toBe(true);
    expect(await readBlocks(file, head, 1, [Buffer.alloc(BLOCK_BYTES)])).toBe(false);
  });
});

test('a head is found at its own place only, and with its own length', async () => {
  const { path, entries } = await segment();
  const [first, other] = entries as [RecordEntry, RecordEntry];
  await withFile(path, async (file) => {
    expect((await headOf(file, other))?.item.toString()).toBe('other');
    expect(await headOf(file, { ...first, offset: first.offset + 1 })).toBeUndefined();
    expect(await headOf(file, { ...first, headBytes: first.headBytes + 1 })).toBeUndefined();
    const elsewhere = { segmentId: Buffer.alloc(16, 8), offset: first.offset, headBytes: first.headBytes };
    expect(await readRecordHead(file, elsewhere)).toBeUndefined();
  });
});
