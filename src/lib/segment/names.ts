// Names of segment files. While a segment is written its name says how many bytes it may grow to, so that one listing
// of a directory sums up all reservations; sealing renames it. Pure.
import { SEGMENT_ID_BYTES } from './format.ts';

export type SegmentName =
  | { readonly kind: 'open'; readonly idHex: string; readonly reservedBytes: number }
  | { readonly kind: 'sealed'; readonly idHex: string };

const NAME = new RegExp(`^([0-9a-f]{${2 * SEGMENT_ID_BYTES}})(?:-(0|[1-9][0-9]{0,15})\\.open|\\.seg)$`);

export function formatSegmentName(name: SegmentName): string {
  return name.kind === 'open' ? `${name.idHex}-${name.reservedBytes}.open` : `${name.idHex}.seg`;
}

/** Undefined for every name that is none of ours: foreign files are left alone. */
export function parseSegmentName(text: string): SegmentName | undefined {
  const match = NAME.exec(text);
  if (!match) return undefined;
  const idHex = match[1]!;
  if (match[2] === undefined) return { kind: 'sealed', idHex };
  const reservedBytes = Number(match[2]);
  return Number.isSafeInteger(reservedBytes) ? { kind: 'open', idHex, reservedBytes } : undefined;
}
