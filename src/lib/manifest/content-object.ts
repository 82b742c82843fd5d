// Writes a content-addressed object unless it is there: the key says what the bytes are, so an object of that key and
// size is taken as it is and never written again.
import { isSeekfsError, SeekfsError } from '../base/errors.ts';
import { headIfThere } from '../objectstore/head-if-there.ts';
import type { ObjectStore, PutSource, UploadMemory } from '../objectstore/object-store.ts';
import { sourceSizeBytes } from '../objectstore/source.ts';

export interface ContentPut {
  readonly key: string;
  readonly source: PutSource;
  /** Ask before sending: the object is likely there, or is so large that asking costs nothing beside it. */
  readonly headFirst: boolean;
  readonly uploads?: UploadMemory | undefined;
  readonly onProgress?: ((bytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ContentObject {
  readonly etag: string;
  readonly isReused: boolean;
}

/**
 * The object need not be durable yet: that is made for all of a call at once (`ObjectStore.makeDurable`).
 * @throws object_changed where something else lies under the key, and what the store throws
 */
export async function putContent(store: ObjectStore, put: ContentPut): Promise<ContentObject> {
  const sizeBytes = sourceSizeBytes(put.source);
  if (put.headFirst) {
    const found = await reuse(store, put, sizeBytes);
    if (found) return found;
  }
  try {
    const { etag } = await store.put({
      key: put.key,
      source: put.source,
      condition: { kind: 'absent' },
      durable: false,
      uploads: put.uploads,
      onProgress: put.onProgress,
      signal: put.signal,
    });
    return { etag, isReused: false };
  } catch (error) {
    if (!isSeekfsError(error, 'precondition_failed')) throw error;
    const found = await reuse(store, put, sizeBytes);
    if (found) return found;
    throw error;
  }
}

async function reuse(store: ObjectStore, put: ContentPut, sizeBytes: number): Promise<ContentObject | undefined> {
  const head = await headIfThere(store, put.key, put.signal);
  if (!head) return undefined;
  if (head.sizeBytes === sizeBytes) return { etag: head.etag, isReused: true };
  throw new SeekfsError(
    'object_changed',
    `${put.key} has ${head.sizeBytes} bytes, its content has ${sizeBytes}; remove the object and put the file again`,
    { details: { key: put.key, expected: sizeBytes, actual: head.sizeBytes } },
  );
}
