import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import { Footer } from '../../../src/lib/segment/footer.ts';
import type { RecordEntry } from '../../../src/lib/segment/format.ts';
import { encodeFooter } from '../../support/footer.ts';

await loadCrc32c();

const ID = Buffer.alloc(16, 3);
/** A footer behind so many bytes of records. */
const OFFSET = 200_000;

/** A file that ends in the footer, and counts what is read of it at once. */
function fileWith(footer: Buffer): {
  reads: number[];
  read: (into: readonly Uint8Array[], at: number) => Promise<number>;
} {
  const all = Buffer.concat([Buffer.alloc(OFFSET), footer]);
  const reads: number[] = [];
  return {
    reads,
    read: ([buffer], position) => {
      reads.push(buffer!.length);
      return Promise.resolve(all.copy(buffer!, 0, position));
    },
  };
}

async function entriesOf(
  footer: Buffer,
  id = ID,
  sizeBytes = OFFSET + footer.length,
): Promise<RecordEntry[] | undefined> {
  const found = await Footer.read(fileWith(footer), { id, sizeBytes });
  if (!found) return undefined;
  const entries: RecordEntry[] = [];
  for await (const batch of found.batches()) entries.push(...batch);
  expect(entries).toHaveLength(found.records);
  return entries;
}

const key = fc.record({
  group: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  item: fc.uint8Array({ maxLength: 256 }).map((bytes) => Buffer.from(bytes)),
});

function footerOf(keys: readonly { group: Buffer; item: Buffer }[]): { entries: RecordEntry[]; bytes: Buffer } {
  const entries = keys.map((one, index) => ({ ...one, offset: index * 3, headBytes: 2, payloadBytes: 1 }));
  return { entries, bytes: encodeFooter(entries, { segmentId: ID, offset: OFFSET }) };
}

describe('a footer', () => {
  test('reads as what was encoded; a flipped byte, another segment or another place is none', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(key, { maxLength: 8 }), fc.nat(), async (keys, flip) => {
        const { entries, bytes } = footerOf(keys);
        expect(await entriesOf(bytes)).toEqual(entries);
        expect(await entriesOf(bytes, Buffer.alloc(16, 4))).toBeUndefined();
        expect(await entriesOf(bytes, ID, OFFSET + bytes.length - 1)).toBeUndefined();
        const copy = Buffer.from(bytes);
        copy[flip % copy.length]! ^= 4;
        expect(await entriesOf(copy)).toBeUndefined();
      }),
      { numRuns: 60 },
    );
  });

  // Beyond the tail that is read first; beyond what is kept of names, in their order and in none.
  test.each([
    [5000, 100, (record: number) => record],
    [30_000, 200, (record: number) => record],
    [30_000, 200, (record: number) => (record < 25_000 ? record : (record * 7919) % 25_000)],
  ])('of %i records with names of %i bytes is read in windows', async (records, nameBytes, groupOf) => {
    const keys = Array.from({ length: records }, (_, record) => {
      const group = Buffer.alloc(nameBytes, 'x');
      group.writeUInt32LE(groupOf(record));
      return { group, item: Buffer.from(String(record)) };
    });
    const { entries, bytes } = footerOf(keys);
    const read = (await entriesOf(bytes))!;
    expect(read).toHaveLength(records);
    const wrong = read.findIndex((entry, index) => {
      const expected = entries[index]!;
      return (
        entry.offset !== expected.offset || !entry.group.equals(expected.group) || !entry.item.equals(expected.item)
      );
    });
    expect(wrong).toBe(-1);
    const copy = Buffer.from(bytes);
    copy[bytes.length >> 1]! ^= 1;
    expect(await entriesOf(copy)).toBeUndefined();
  });

  test('takes memory by the window, not by the record', async () => {
    const keys = Array.from({ length: 60_000 }, (_, record) => ({ group: Buffer.alloc(200, `${record} `), item: ID }));
    const { bytes } = footerOf(keys);
    const file = fileWith(bytes);
    const footer = (await Footer.read(file, { id: ID, sizeBytes: OFFSET + bytes.length }))!;
    let batchMax = 0;
    for await (const batch of footer.batches()) batchMax = Math.max(batchMax, batch.length);
    expect(batchMax).toBeLessThan(5000);
    expect(Math.max(...file.reads)).toBeLessThanOrEqual(2 ** 20);
  });
});
