// A whole get that was answered with a Content-Encoding: either that is metadata which was stored with the object, and the
// bytes are the object's, or something on the way encoded them. The Content-Range of a ranged get tells the two apart.
import type { GetWholeRequest, ObjectStore, WholeObject } from './object-store.ts';
import { badAnswer, type S3Context } from './s3-errors.ts';
import { EncodedAnswer } from './s3-response.ts';
import { tooLarge } from './source.ts';

/** @throws store_unavailable when the announced length was not the object's */
export async function orByRange(
  store: ObjectStore,
  request: GetWholeRequest,
  getWhole: () => Promise<WholeObject>,
): Promise<WholeObject> {
  try {
    return await getWhole();
  } catch (error) {
    if (!(error instanceof EncodedAnswer)) throw error;
    return getByRange(store, request, error.head.sizeBytes);
  }
}

async function getByRange(store: ObjectStore, request: GetWholeRequest, sizeBytes: number): Promise<WholeObject> {
  const { key, sizeBytesMax, purpose, signal } = request;
  if (sizeBytes > sizeBytesMax) throw tooLarge(key, sizeBytes, sizeBytesMax);
  const bytes = Buffer.alloc(sizeBytes);
  let filledBytes = 0;
  const write = (chunk: Uint8Array): void => {
    bytes.set(chunk, filledBytes);
    filledBytes += chunk.byteLength;
  };
  const head = await store.getRange(
    { key, range: { off: 0, len: Math.max(1, sizeBytes) }, purpose, signal },
    { write },
  );
  const context: S3Context = { doing: 'get', key, bucket: '', endpoint: store.url };
  if (head.sizeBytes !== sizeBytes) throw badAnswer('encoded the body on its way', context);
  return { ...head, bytes };
}
