// Bytes for tests of object stores: what is put, and all of what comes back, or the code of the error.
import { createHash } from 'node:crypto';
import type { ByteRange } from '../../src/lib/base/byte-range.ts';
import { SeekfsError } from '../../src/lib/base/errors.ts';
import { KIB } from '../../src/lib/base/units.ts';
import type { ObjectListing, ObjectStore, PutSource } from '../../src/lib/objectstore/object-store.ts';

/** A stream of `sizeBytes` that can be opened anywhere: byte i is a function of i. `actualBytes` differs to break the promise. */
export function patternSource(sizeBytes: number, actualBytes = sizeBytes): PutSource {
  return {
    kind: 'stream',
    sizeBytes,
    open: async function* (range) {
      const end = Math.min(range.off + range.len, actualBytes) + Math.max(0, actualBytes - sizeBytes);
      for (let off = range.off; off < end;) {
        const chunk = patternBytes({ off, len: Math.min(256 * KIB, end - off) });
        yield chunk;
        off += chunk.length;
      }
    },
  };
}

const PATTERN = createHash('sha512').update('seekfs').digest();
const PATTERN_BLOCK = Buffer.concat(
  Array.from({ length: 257 }, (_, n) => Buffer.from(PATTERN.map((byte) => byte ^ n))),
);

export function patternBytes(range: ByteRange): Buffer {
  const bytes = Buffer.allocUnsafe(range.len);
  for (let done = 0; done < range.len;) {
    const from = (range.off + done) % PATTERN_BLOCK.length;
    done += PATTERN_BLOCK.copy(bytes, done, from, Math.min(PATTERN_BLOCK.length, from + range.len - done));
  }
  return bytes;
}

export async function getRangeBytes(
  store: ObjectStore,
  key: string,
  range: ByteRange,
  more: { ifMatch?: string; signal?: AbortSignal } = {},
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await store.getRange(
    { key, range, purpose: 'file', ...more },
    { write: (chunk) => void chunks.push(Buffer.from(chunk)) },
  );
  return Buffer.concat(chunks);
}

export async function listAll(store: ObjectStore, prefix: string, startAfter?: string): Promise<ObjectListing[]> {
  const all: ObjectListing[] = [];
  for await (const page of store.list({ prefix, startAfter })) all.push(...page);
  return all;
}

export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'no error';
  } catch (error) {
    return error instanceof SeekfsError ? error.code : `not a SeekfsError: ${String(error)}`;
  }
}
