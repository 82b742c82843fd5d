// Half-open byte ranges [off, off + len): the arithmetic that every layer above shares. Pure.
import { SeekfsError } from './errors.ts';

export interface ByteRange {
  readonly off: number;
  readonly len: number;
}

export function rangeEnd(range: ByteRange): number {
  return range.off + range.len;
}

/** The bytes of the ranges by ascending offset: what overlaps or touches is one range, empty ones are gone. */
export function mergeRanges(ranges: readonly ByteRange[]): ByteRange[] {
  const merged: { off: number; len: number }[] = [];
  for (const { off, len } of ranges.filter((range) => range.len > 0).sort((a, b) => a.off - b.off)) {
    const last = merged.at(-1);
    if (last && off <= rangeEnd(last)) last.len = Math.max(rangeEnd(last), off + len) - last.off;
    else merged.push({ off, len });
  }
  return merged;
}

/** A whole number of bytes that is exact in a double. */
export function isByteCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * The range clipped at the end of a file. `len` undefined means the rest; errors name the `path`, where there is one.
 * @throws usage for negative or fractional numbers; range_not_satisfiable where `off` is at or past the end of a
 * file that is not empty (a zero-length range at the end included)
 */
export function clipRange(
  request: { off: number; len?: number | undefined; path?: string | undefined },
  sizeBytes: number,
): ByteRange {
  const { off, len, path } = request;
  const where = path === undefined ? '' : `${path}: `;
  if (!isByteCount(off)) {
    throw new SeekfsError('usage', `${where}offset ${String(off)} is not a whole number of bytes from 0`);
  }
  if (len !== undefined && !isByteCount(len)) {
    throw new SeekfsError('usage', `${where}length ${String(len)} is not a whole number of bytes from 0`);
  }
  if (off >= sizeBytes && sizeBytes > 0) {
    const message = `${where}offset ${off} is past the end of a file of ${sizeBytes} bytes`;
    throw new SeekfsError('range_not_satisfiable', message, { details: { off, size: sizeBytes } });
  }
  const begin = Math.min(off, sizeBytes);
  return { off: begin, len: Math.min(len ?? sizeBytes - begin, sizeBytes - begin) };
}
