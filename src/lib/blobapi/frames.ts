// The framing of POST /readv, for the server and the client: per extent a 16-byte head, then the bytes. Pure.
//
//     off  size  field
//       0     4  index of the extent in the request, u32 little-endian
//       4     4  HTTP status, u32 little-endian: 200, or the error's
//       8     8  length of what follows in bytes, u64 little-endian
//      16   len  the extent's bytes; where the status is not 200, the error as JSON in UTF-8
import { SeekfsError } from '../base/errors.ts';

export const FRAMES_CONTENT_TYPE = 'application/vnd.seekfs.frames';
export const FRAME_HEAD_BYTES = 16;

export interface FrameHead {
  readonly index: number;
  readonly status: number;
  readonly lengthBytes: number;
}

export function encodeFrameHead(head: FrameHead): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEAD_BYTES);
  bytes.writeUInt32LE(head.index, 0);
  bytes.writeUInt32LE(head.status, 4);
  bytes.writeBigUInt64LE(BigInt(head.lengthBytes), 8);
  return bytes;
}

/** @throws store_unavailable where the length is no safe integer: whoever answered does not speak this format */
export function decodeFrameHead(bytes: Buffer): FrameHead {
  const lengthBytes = Number(bytes.readBigUInt64LE(8));
  if (!Number.isSafeInteger(lengthBytes)) {
    throw new SeekfsError('store_unavailable', `the answer has a frame of ${bytes.readBigUInt64LE(8)} bytes`);
  }
  return { index: bytes.readUInt32LE(0), status: bytes.readUInt32LE(4), lengthBytes };
}
