// Which records answer a read: several may hold granules of one page, in parts or twice. Pure.
import type { FileHash } from './page-key.ts';
import type { GranuleSpan } from '../page/page.ts';
import { GranuleBits } from './granule-bits.ts';
import type { IndexedRecord, RecordIndex } from './record-index.ts';

/** Part of a read that one record answers: granules [first, first + count) of the page. */
export interface Piece extends GranuleSpan {
  readonly record: IndexedRecord;
}

export function recordsOf(index: RecordIndex, file: FileHash, pageId: number): IndexedRecord[] {
  const records: IndexedRecord[] = [];
  for (let slot = index.find(file, pageId); slot >= 0; slot = index.findNext(slot, file, pageId)) {
    records.push(index.at(slot));
  }
  return records;
}

export function bitsOf(records: readonly IndexedRecord[], granules: number): GranuleBits {
  const bits = new GranuleBits(granules);
  for (const record of records) bits.add(record.firstGranule, record.granules);
  return bits;
}

/** The fewest records that answer the span, or undefined where a granule is missing. */
export function planPieces(records: readonly IndexedRecord[], span: GranuleSpan): Piece[] | undefined {
  const end = span.first + span.count;
  const pieces: Piece[] = [];
  for (let granule = span.first; granule < end;) {
    let best: IndexedRecord | undefined;
    let bestEnd = granule;
    for (const record of records) {
      const recordEnd = record.firstGranule + record.granules;
      if (record.firstGranule > granule || recordEnd <= bestEnd) continue;
      best = record;
      bestEnd = recordEnd;
    }
    if (!best) return undefined;
    const count = Math.min(end, bestEnd) - granule;
    pieces.push({ record: best, first: granule, count });
    granule += count;
  }
  return pieces;
}
