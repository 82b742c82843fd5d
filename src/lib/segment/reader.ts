// Verified reads of records from a segment file: a head, or some check blocks of a payload. Whatever does not fit its
// checksum is `undefined` or `false`, never bytes. Knows nothing of pages, names or who removes segments.
import { crc32c } from '../base/crc32c.ts';
import { andThen, type MaybePromise } from '../base/maybe-promise.ts';
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
 * `reading` reads the file in place of its own `read`; where it gives no promise, this gives none.
 * @throws system errors of the disk
 */
export function readBlocks(
  file: DiskFile,
  head: RecordHead,
  firstBlock: number,
  buffers: readonly Uint8Array[],
  reading: (buffers: readonly Uint8Array[], position: number) => MaybePromise<number> = file.read.bind(file),
): MaybePromise<boolean> {
  const start = firstBlock * BLOCK_BYTES;
  const wanted = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
  if (start + wanted > head.payloadBytes) throw new RangeError('blocks past the end of the payload');
  return andThen(
    reading(buffers, head.offset + head.headBytes + start),
    (read) => read === wanted && areIntact(head, firstBlock, buffers),
  );
}

function areIntact(head: RecordHead, firstBlock: number, buffers: readonly Uint8Array[]): boolean {
  let block = firstBlock;
  for (const buffer of buffers) {
    for (let at = 0; at < buffer.byteLength; at += BLOCK_BYTES) {
      if (crc32c(buffer.subarray(at, at + BLOCK_BYTES)) !== head.blockCrcs[block]) return false;
      block += 1;
    }
  }
  return true;
}
