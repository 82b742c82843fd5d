import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc32c, loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import {
  BLOCK_BYTES,
  decodeRecordHead,
  decodeSegmentHeader,
  encodeRecordHead,
  encodeSegmentHeader,
  PADDING_BYTES_MAX,
  peekRecordHead,
} from '../../../src/lib/segment/format.ts';
import { GOLDEN_PAGES, writeGoldenSegment } from '../../support/golden-segment.ts';
import { openTestStore } from '../../support/segment-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

await loadCrc32c();

const goldenPath = fileURLToPath(new URL('../../golden/segment/v1.seg', import.meta.url));
const documentPath = fileURLToPath(new URL('../../../docs/format/segment.md', import.meta.url));
const FILE_NAME = '000102030405060708090a0b0c0d0e0f.seg';

describe('the golden segment of format 1', () => {
  test('is what is written today', async () => {
    const directory = await temporaryDirectory();
    await writeGoldenSegment(nodeDisk, directory);
    expect(readdirSync(directory)).toEqual([FILE_NAME]);
    expect(readFileSync(join(directory, FILE_NAME)).toString('hex')).toBe(readFileSync(goldenPath).toString('hex'));
  });

  test('is read for ever', async () => {
    const directory = await temporaryDirectory();
    mkdirSync(join(directory, 'segments'));
    writeFileSync(join(directory, 'segments', FILE_NAME), readFileSync(goldenPath));
    const l2 = await openTestStore(directory);
    for (const page of GOLDEN_PAGES) expect(await l2.get(page)).toEqual(page.bytes);
    await l2.store.close();
  });

  test('is the one that the documentation explains byte by byte', () => {
    const text = readFileSync(documentPath, 'utf8');
    const dump = /```hex\n([\s\S]*?)```/.exec(text)![1]!;
    const hex = dump
      .split('\n')
      .map((line) => /^[0-9a-f]{4} {2}([0-9a-f ]+?)(?: {2,}|$)/.exec(line)?.[1]?.replaceAll(' ', '') ?? '')
      .join('');
    expect(hex).toBe(readFileSync(goldenPath).toString('hex'));
  });
});

const NO_KEY = { group: Buffer.alloc(0), item: Buffer.alloc(0), kind: 0, payloadBytes: 1, writtenAtMs: 1 };
const NOWHERE = { segmentId: Buffer.alloc(16), offset: 27 };

const key = fc.record({
  group: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  item: fc.uint8Array({ maxLength: 256 }).map((bytes) => Buffer.from(bytes)),
});
const place = fc.record({
  segmentId: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes)),
  offset: fc.nat(),
});

describe('a record head', () => {
  const record = fc
    .record({ key, payloadBytes: fc.integer({ min: 1, max: 40 * BLOCK_BYTES }), kind: fc.nat(0xffff) })
    .chain(({ key: of, payloadBytes, kind }) => {
      const blocks = Math.ceil(payloadBytes / BLOCK_BYTES);
      const blockCrcs = fc.array(fc.nat(0xffff_ffff), { minLength: blocks, maxLength: blocks });
      return blockCrcs.map((crcs) => ({
        ...of,
        kind,
        payloadBytes,
        writtenAtMs: 1,
        blockCrcs: Uint32Array.from(crcs),
      }));
    });

  test('decodes to what was encoded, in its place and nowhere else', () => {
    fc.assert(
      fc.property(record, place, place, (one, here, elsewhere) => {
        const bytes = encodeRecordHead(one, here);
        expect(decodeRecordHead(bytes, here)).toEqual({ ...one, ...here, headBytes: bytes.length });
        fc.pre(here.offset !== elsewhere.offset || !here.segmentId.equals(elsewhere.segmentId));
        expect(decodeRecordHead(bytes, elsewhere)).toBeUndefined();
        if (here.offset === elsewhere.offset) return;
        expect(decodeRecordHead(bytes, { ...here, offset: elsewhere.offset })).toBeUndefined();
      }),
      { numRuns: 60 },
    );
  });

  test('has padding before its payload where it was asked for: version 2, and a version 1 that claims some is none', () => {
    fc.assert(
      fc.property(record, place, fc.integer({ min: 1, max: PADDING_BYTES_MAX }), (one, here, paddingBytes) => {
        const plain = encodeRecordHead(one, here);
        const padded = encodeRecordHead(one, here, paddingBytes);
        expect([plain.readUInt16LE(4), padded.readUInt16LE(4)]).toEqual([1, 2]);
        expect(decodeRecordHead(padded, here)).toEqual({ ...one, ...here, headBytes: plain.length + paddingBytes });
        padded.writeUInt16LE(1, 4);
        expect(peekRecordHead(padded)).toBeUndefined();
      }),
      { numRuns: 30 },
    );
    expect(() => encodeRecordHead({ ...NO_KEY, blockCrcs: Uint32Array.of(0) }, NOWHERE, 4096)).toThrow(RangeError);
    const tooLong = encodeRecordHead({ ...NO_KEY, blockCrcs: Uint32Array.of(0) }, NOWHERE, PADDING_BYTES_MAX);
    tooLong.writeUInt32LE(PADDING_BYTES_MAX + 1, 52);
    tooLong.writeUInt32LE(tooLong.length + 1, 12);
    expect(peekRecordHead(tooLong)).toBeUndefined();
  });

  test('does not decode at the same offset of another segment', () => {
    const bytes = encodeRecordHead({ ...NO_KEY, blockCrcs: Uint32Array.of(0) }, NOWHERE);
    expect(decodeRecordHead(bytes, NOWHERE)).toBeDefined();
    expect(decodeRecordHead(bytes, { segmentId: Buffer.alloc(16, 1), offset: 27 })).toBeUndefined();
  });

  test('stores block CRCs under the mask that the specification gives', () => {
    const here = { segmentId: Buffer.alloc(16, 3), offset: 77 };
    const [group, item] = [Buffer.from('group'), Buffer.from('item')];
    const blockCrcs = Uint32Array.of(1, 2, 0xffff_ffff);
    const payloadBytes = 3 * BLOCK_BYTES;
    const bytes = encodeRecordHead({ kind: 1, group, item, payloadBytes, writtenAtMs: 0, blockCrcs }, here);
    for (const [block, crc] of blockCrcs.entries()) {
      const number = Buffer.alloc(4);
      number.writeUInt32LE(block);
      const offset = Buffer.alloc(8);
      offset.writeUInt32LE(here.offset);
      const mask = crc32c(Buffer.concat([here.segmentId, offset, group, item, number]));
      expect(bytes.readUInt32LE(bytes.length - 12 + 4 * block)).toBe((crc ^ mask) >>> 0);
    }
  });

  test('refuses integers that are not safe, and keys that are too long', () => {
    const base = { kind: 1, payloadBytes: 1, writtenAtMs: 0, blockCrcs: Uint32Array.of(0) };
    const short = { group: Buffer.alloc(1), item: Buffer.alloc(1) };
    const segmentId = Buffer.alloc(16);
    for (const offset of [-1, 1.5, 2 ** 53]) {
      expect(() => encodeRecordHead({ ...base, ...short }, { segmentId, offset })).toThrow(RangeError);
    }
    const long = { ...short, group: Buffer.alloc(9000) };
    expect(() => encodeRecordHead({ ...base, ...long }, { segmentId, offset: 0 })).toThrow(RangeError);
  });
});

describe('segment headers', () => {
  test('a segment header decodes to what was encoded; a flipped byte or another version does not decode', () => {
    const header = { id: Buffer.alloc(16, 9), createdAtMs: 5, reservedBytes: 2 ** 40, owner: 'wörker' };
    const bytes = encodeSegmentHeader(header);
    expect(decodeSegmentHeader(Buffer.concat([bytes, Buffer.alloc(9)]))).toEqual({
      ...header,
      headerBytes: bytes.length,
    });
    for (let at = 0; at < bytes.length; at += 1) {
      const copy = Buffer.from(bytes);
      copy[at]! ^= 1;
      expect(decodeSegmentHeader(copy), `flip at ${at}`).toBeUndefined();
    }
  });
});
