// The checksums of a range of an object, which is streamed and not kept, and is the same object from end to end.
import { MIB } from '../base/units.ts';
import type { ObjectStore, RangeSink } from '../objectstore/object-store.ts';
import { BlockFeed } from './block-feed.ts';
import type { ChecksumPool } from './checksum-pool.ts';
import type { Checksums } from './checksums.ts';

/** One GET of a large object; what breaks off costs no more than that again. */
const RANGE_BYTES = 64 * MIB;

export interface ObjectRange {
  readonly key: string;
  readonly etag: string;
  readonly off: number;
  readonly sizeBytes: number;
  readonly pageSizeBytes: number;
}

/** @throws object_changed, object_not_found, and what else the store throws */
export async function hashObjectRange(
  store: ObjectStore,
  pool: ChecksumPool,
  object: ObjectRange,
  reading: {
    readonly onBytes: (bytes: number) => void;
    /** Sees each chunk before it is hashed; it is not kept. */
    readonly onChunk?: ((chunk: Uint8Array) => void) | undefined;
    readonly signal: AbortSignal | undefined;
  },
): Promise<Checksums> {
  const { key, etag, off, sizeBytes, pageSizeBytes } = object;
  const hashing = pool.hash({ sizeBytes, pageSizeBytes });
  const feed = new BlockFeed(hashing, sizeBytes);
  const sink: RangeSink = {
    write: (chunk) => {
      reading.onBytes(chunk.byteLength);
      reading.onChunk?.(chunk);
      return feed.write(chunk);
    },
  };
  // What only the thread wants to see, it reads itself where it can: this one would only copy it.
  const take = reading.onChunk ? undefined : hashing.take;
  if (take) {
    sink.take = async (bytes) => {
      const taken = await take(bytes);
      reading.onBytes(taken);
      return taken;
    };
  }
  let isDone = false;
  try {
    for (let at = 0; at < sizeBytes; at += RANGE_BYTES) {
      const range = { off: off + at, len: Math.min(RANGE_BYTES, sizeBytes - at) };
      await store.getRange({ key, range, ifMatch: etag, signal: reading.signal, purpose: 'file' }, sink);
    }
    const checksums = await feed.finish();
    isDone = true;
    return checksums;
  } finally {
    if (!isDone) feed.drop();
  }
}
