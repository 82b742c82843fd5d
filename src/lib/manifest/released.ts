// Plain objects that a gc is about to remove, written down in the bucket before the manifests go that named them: what a
// gc that dies leaves behind is found by the next one. For remote-gc.ts; a list that is damaged says nothing.
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { isSeekfsError } from '../base/errors.ts';
import { GIB, MIB } from '../base/units.ts';
import type { ObjectListing, ObjectStore } from '../objectstore/object-store.ts';
import { isContentKey, releasedKey } from './key-layout.ts';

const LIST_BYTES_MAX = 256 * MIB;

/** ETags by key. */
export type Released = Map<string, Set<string>>;

export function release(released: Released, key: string, etag: string): void {
  released.set(key, (released.get(key) ?? new Set()).add(etag));
}

/** What an earlier gc had begun to remove. */
export async function readReleased(store: ObjectStore, ns: string, signal?: AbortSignal): Promise<Released> {
  const released: Released = new Map();
  let packed: Buffer;
  try {
    const request = { key: releasedKey(ns), sizeBytesMax: LIST_BYTES_MAX, purpose: 'meta', signal } as const;
    packed = (await store.getWhole(request)).bytes;
  } catch (error) {
    if (isSeekfsError(error, 'object_not_found')) return released;
    throw error;
  }
  try {
    const text = (await promisify(gunzip)(packed, { maxOutputLength: 2 * GIB })).toString('utf8');
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const [key, etag] = JSON.parse(line) as unknown[];
      if (typeof key === 'string' && typeof etag === 'string') release(released, key, etag);
    }
  } catch {
    released.clear();
  }
  return released;
}

/**
 * Writes down the plain ones among the objects; content-addressed ones say by their keys what they are.
 * @returns whether there was anything to write
 */
export async function writeReleased(
  store: ObjectStore,
  ns: string,
  objects: readonly ObjectListing[],
  signal?: AbortSignal,
): Promise<boolean> {
  const lines = objects.filter(({ key }) => !isContentKey(key)).map(({ key, etag }) => JSON.stringify([key, etag]));
  if (lines.length === 0) return false;
  const bytes = await promisify(gzip)(`${lines.join('\n')}\n`);
  await store.put({
    key: releasedKey(ns),
    source: { kind: 'bytes', bytes },
    condition: { kind: 'none' },
    durable: true,
    contentType: 'application/gzip',
    signal,
  });
  return true;
}
