// A head request where it is an answer, and no failure, that the object is not there.
import { isSeekfsError } from '../base/errors.ts';
import type { ObjectHead, ObjectStore } from './object-store.ts';

/** Undefined where there is no such object. @throws as `ObjectStore.head` */
export async function headIfThere(
  store: Pick<ObjectStore, 'head'>,
  key: string,
  signal: AbortSignal | undefined,
): Promise<ObjectHead | undefined> {
  try {
    return await store.head({ key, signal });
  } catch (error) {
    if (isSeekfsError(error, 'object_not_found')) return undefined;
    throw error;
  }
}
