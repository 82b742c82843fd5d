// Verified reads of records from a segment file: a head, or some check blocks of a payload. Whatever does not fit its
// checksum is `undefined` or `false`, never bytes. Knows nothing of pages, names or who removes segments.
import { crc32c, crc32cCombine } from '../base/crc32c.ts';
import type { DiskFile } from '../disk/disk.ts';
import { BLOCK_BYTES, decodeRecordHead, type RecordHead } from './format.ts';

export interface RecordPlace {
  readonly segmentId: Buffer;
  readonly offset: number;
  readonly headBytes: number;
}

/**
 * The head at this place in one read, or undefined where the file holds something else there.
 * @throws system errors of the disk
 */
export async function readRecordHead(file: DiskFile, place: RecordPlace): Promise<RecordHead | undefined> {
  const bytes = Buffer.allocUnsafe(place.headBytes);
  if ((await file.read([bytes], place.offset)) < place.headBytes) return undefined;
  const head = decodeRecordHead(bytes, place);
  return head?.headBytes === place.headBytes ? head : undefined;
}

/**
 * Fills the buffers with payload bytes from check block `firstBlock` on and checks each block. Every buffer but the
 * last holds whole blocks, and the last one ends at a block's end. False where the bytes are not those written.
 * @throws system errors of the disk
 */
export async function readBlocks(
  file: DiskFile,
  head: RecordHead,
  firstBlock: number,
  buffers: readonly Uint8Array[],
): Promise<boolean> {
  const wanted = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
  if ((await file.read(buffers, positionOf(head, firstBlock, wanted))) !== wanted) return false;
  let block = firstBlock;
  for (const buffer of buffers) {
    if (!areIntact(head, block, buffer)) return false;
    block += Math.ceil(buffer.byteLength / BLOCK_BYTES);
  }
  return true;
}

/** Where in the file `bytes` of payload from the check block on lie. */
export function positionOf(head: RecordHead, firstBlock: number, bytes: number): number {
  const start = firstBlock * BLOCK_BYTES;
  if (start + bytes > head.payloadBytes) throw new RangeError('blocks past the end of the payload');
  return head.offset + head.headBytes + start;
}

/**
 * Are these the check blocks from `firstBlock` on? One checksum of all of them, against what theirs combine to: a call
 * for each block takes a seventh longer.
 */
export function areIntact(head: RecordHead, firstBlock: number, blocks: Uint8Array): boolean {
  let expected = head.blockCrcs[firstBlock]!;
  for (let at = BLOCK_BYTES, block = firstBlock + 1; at < blocks.byteLength; at += BLOCK_BYTES, block += 1) {
    const length = Math.min(BLOCK_BYTES, blocks.byteLength - at);
    expected = crc32cCombine(expected, head.blockCrcs[block]!, length);
  }
  return crc32c(blocks) === expected;
}
