// The Range and conditional header fields of RFC 9110, sections 13 and 14, as pure functions of their text.
import type { ByteRange } from '../base/byte-range.ts';

export type RangeAnswer =
  | { readonly kind: 'whole' }
  | { readonly kind: 'unsatisfiable' }
  | { readonly kind: 'ranges'; readonly ranges: readonly ByteRange[] };

const WHOLE: RangeAnswer = { kind: 'whole' };

/** Of one range and nothing else, as nearly all are. */
const PLAIN = /^bytes=[\d-]+$/;

/** None where the header is not of bytes. */
function specsOf(header: string): string[] {
  if (PLAIN.test(header)) return [header.slice('bytes='.length)];
  const match = /^bytes=(.*)$/i.exec(header.trim());
  const specs = match?.[1]!.split(',').map((spec) => spec.trim());
  return specs?.filter((spec) => spec !== '') ?? [];
}

/**
 * What a Range header asks of a representation of `sizeBytes`. §14.2 lets a server ignore what it cannot read, another
 * unit, and overlapping ranges; those give the whole. More than `rangesMax` ranges are unsatisfiable.
 */
export function parseRange(header: string, options: { sizeBytes: number; rangesMax: number }): RangeAnswer {
  const { sizeBytes, rangesMax } = options;
  const specs = specsOf(header);
  if (specs.length === 0 || sizeBytes === 0) return WHOLE;
  if (specs.length > rangesMax) return { kind: 'unsatisfiable' };
  const ranges: ByteRange[] = [];
  for (const spec of specs) {
    const parts = /^(\d*)-(\d*)$/.exec(spec);
    if (!parts || spec === '-') return WHOLE;
    const [, first, last] = parts;
    if (first === '') {
      const suffix = Math.min(Number(last), sizeBytes);
      if (suffix > 0) ranges.push({ off: sizeBytes - suffix, len: suffix });
      continue;
    }
    const off = Number(first);
    if (last !== '' && Number(last) < off) return WHOLE;
    if (off < sizeBytes)
      ranges.push({ off, len: (last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes)) - off });
  }
  if (ranges.length === 0) return { kind: 'unsatisfiable' };
  // Ranges that overlap so far that the answer would be longer than the whole are answered with the whole.
  if (ranges.reduce((sum, range) => sum + range.len, 0) > sizeBytes) return WHOLE;
  return { kind: 'ranges', ranges };
}

/** The entity tags of a list, without W/ where `weak`; undefined for "*". Malformed members are passed over. */
function entityTags(header: string, weak: boolean): string[] | undefined {
  if (header.trim() === '*') return undefined;
  const tags = [...header.matchAll(/(W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g)];
  return tags.filter((tag) => weak || tag[1] === undefined).map((tag) => tag[2]!);
}

/** §13.1.1, strong comparison: does If-Match hold for a file that exists? */
export function ifMatchHolds(header: string, etag: string | undefined): boolean {
  const tags = entityTags(header, false);
  return tags === undefined || (etag !== undefined && tags.includes(etag));
}

/** §13.1.2, weak comparison: does If-None-Match hold, so that the bytes are to be sent? */
export function ifNoneMatchHolds(header: string, etag: string | undefined): boolean {
  const tags = entityTags(header, true);
  return tags !== undefined && (etag === undefined || !tags.includes(etag));
}

/** §13.1.5: a strong tag that is ours, else the Range is to be ignored. Dates never match: we send no Last-Modified. */
export function ifRangeHolds(header: string, etag: string | undefined): boolean {
  return etag !== undefined && header.trim() === etag;
}
