// What engines share in reading the source of a put and in checking the range of a get. Pure but for the source itself.
import { isByteCount, rangeEnd, type ByteRange } from '../base/byte-range.ts';
import { SeekfsError, throwIfAborted } from '../base/errors.ts';
import type { PutSource } from './object-store.ts';

export function sourceSizeBytes(source: PutSource): number {
  return source.kind === 'bytes' ? source.bytes.byteLength : source.sizeBytes;
}

/**
 * The bytes [off, off + len) of the source, exactly.
 * @throws source_changed when the source gives fewer or more bytes than it promised; interrupted
 */
export async function* readSource(
  source: PutSource,
  range: ByteRange,
  options: { key: string; signal?: AbortSignal | undefined },
): AsyncGenerator<Uint8Array> {
  const { key, signal } = options;
  throwIfAborted(signal);
  if (source.kind === 'bytes') {
    if (range.len > 0) yield source.bytes.subarray(range.off, rangeEnd(range));
    return;
  }
  let readBytes = 0;
  const reading = source.open(range)[Symbol.asyncIterator]();
  try {
    while (readBytes <= range.len) {
      const next = await reading.next();
      throwIfAborted(signal);
      if (next.done) break;
      readBytes += next.value.byteLength;
      if (readBytes < range.len) {
        yield next.value;
      } else if (readBytes === range.len) {
        // A store may take the object once it has the last byte: first see that none follows. The source may reuse its memory.
        const last = Uint8Array.prototype.slice.call(next.value);
        const end = await reading.next();
        readBytes += end.done ? 0 : end.value.byteLength;
        if (readBytes === range.len) yield last;
        if (end.done) break;
      }
    }
  } finally {
    await reading.return?.();
  }
  if (readBytes !== range.len) {
    const actual = readBytes > range.len ? 'more' : String(readBytes);
    throw new SeekfsError(
      'source_changed',
      `the source of "${key}" gave ${actual} bytes from offset ${range.off}, expected ${range.len}; it changed while it was read`,
      { details: { key, expected: range.len } },
    );
  }
}

/** @throws usage for a range that is malformed or empty */
export function checkRange(key: string, range: ByteRange): void {
  if (!isByteCount(range.off) || !isByteCount(range.len) || range.len < 1 || !isByteCount(rangeEnd(range))) {
    throw new SeekfsError('usage', `range ${range.off}+${range.len} of "${key}" is not a non-empty range of bytes`);
  }
}

/** @throws range_not_satisfiable when the object ends before the range does */
export function checkRangeWithin(key: string, range: ByteRange, sizeBytes: number): void {
  if (rangeEnd(range) <= sizeBytes) return;
  throw new SeekfsError(
    'range_not_satisfiable',
    `bytes ${range.off} to ${rangeEnd(range)} of "${key}" were asked for, but the object has ${sizeBytes} bytes`,
    { details: { key, off: range.off, len: range.len, size: sizeBytes } },
  );
}

export function objectNotFound(key: string, url: string, cause?: unknown): SeekfsError {
  return new SeekfsError('object_not_found', `no object "${key}" in ${url}`, { details: { key }, cause });
}

export function objectChanged(key: string, expectedEtag: string, actualEtag?: string): SeekfsError {
  const actual = actualEtag === undefined ? 'the store has another' : `it has ${actualEtag}`;
  return new SeekfsError(
    'object_changed',
    `object "${key}" changed: expected ETag ${expectedEtag}, ${actual}; publish what is there now with "manifest gen"`,
    {
      details: { key, expected: expectedEtag, ...(actualEtag === undefined ? {} : { actual: actualEtag }) },
    },
  );
}

export function preconditionFailed(key: string, condition: 'absent' | 'match'): SeekfsError {
  const why = condition === 'absent' ? 'it exists already' : 'its ETag is not the expected one';
  return new SeekfsError('precondition_failed', `object "${key}" was not written: ${why}`, { details: { key } });
}

export function tooLarge(key: string, sizeBytes: number, sizeBytesMax: number): SeekfsError {
  return new SeekfsError(
    'store_unavailable',
    `object "${key}" has ${sizeBytes} bytes, larger than expected: at most ${sizeBytesMax}`,
    { details: { key, size: sizeBytes, limit: sizeBytesMax }, retryable: false },
  );
}
