// Finds out whether a store keeps its word on conditional writes, by trying them on a scratch object: some stores
// ignore the conditions silently, and publishing to those could lose versions. Uses nothing but the contract.
import { randomBytes } from 'node:crypto';
import { isSeekfsError } from '../base/errors.ts';
import type { ConditionalWrites, ObjectStore, PutCondition } from './object-store.ts';

type Attempt = { readonly written: true; readonly etag: string } | { readonly written: false };

/** Believes bytes, not status codes: a refused write must have left the object as it was, a granted one changed it. */
export async function probeConditionalWrites(
  store: Pick<ObjectStore, 'put' | 'getWhole' | 'delete'>,
  request: { prefix: string; signal?: AbortSignal | undefined },
): Promise<ConditionalWrites> {
  const key = `${request.prefix}probe-${randomBytes(8).toString('hex')}`;
  const { signal } = request;
  const attempt = async (text: string, condition: PutCondition): Promise<Attempt> => {
    try {
      const source = { kind: 'bytes', bytes: Buffer.from(text) } as const;
      const { etag } = await store.put({ key, source, condition, durable: false, signal });
      return { written: true, etag };
    } catch (error) {
      if (isSeekfsError(error, 'precondition_failed')) return { written: false };
      throw error;
    }
  };
  const content = async (): Promise<string> => {
    const { bytes } = await store.getWhole({ key, sizeBytesMax: 64, purpose: 'meta', signal });
    return bytes.toString();
  };
  try {
    const created = await attempt('created', { kind: 'absent' });
    const createdTwice = await attempt('created twice', { kind: 'absent' });
    const ifNoneMatch = created.written && !createdTwice.written && (await content()) === 'created';

    const base = await attempt('base', { kind: 'none' });
    const baseEtag = base.written ? base.etag : '';
    const swapped = await attempt('swapped', { kind: 'match', etag: baseEtag });
    const stale = await attempt('stale', { kind: 'match', etag: baseEtag });
    const ifMatch = swapped.written && !stale.written && (await content()) === 'swapped';
    return { ifNoneMatch, ifMatch };
  } finally {
    await store.delete({ keys: [key] }).catch(() => undefined);
  }
}
