// What of a segment is live, as cleaning looks at it. A segment of tiny files has millions of records: of each there is
// only what decides whether it stays, and its name is read again when it is written again. Reads footers, no payload.
import { GRANULE_BYTES } from '../page/page.ts';
import { recordBytes, type RecordEntry } from '../segment/format.ts';
import { decodeItem, fileKeyOf, type FileHash, type FileKey, type PageItem } from './page-key.ts';
import { bitsOf, recordsOf } from './pieces.ts';
import type { SegmentView } from './policy/eviction.ts';
import { pageHash, type HashedPage } from './policy/page-hash.ts';
import type { IndexedRecord, RecordIndex } from './record-index.ts';
import type { Segment, SegmentSet } from './segment-set.ts';

/** May pages of this file go before all others? */
export type IsDead = (file: FileKey) => boolean;

/** A record that eviction may keep. */
export interface LiveRecord extends FileHash, HashedPage {
  readonly pageId: number;
  readonly offset: number;
  readonly bytes: number;
}

export interface View extends SegmentView<LiveRecord> {
  readonly segment: Segment;
  /** Bytes of the records that no other segment holds as well. */
  readonly liveBytes: number;
}

export interface ViewOptions {
  readonly isDead: IsDead;
  readonly onDead: () => void;
  /** Whether the records are wanted, or only how many bytes of them are live. */
  readonly list: boolean;
}

/**
 * Its live records; those of dead files leave the index here. A record that others hold as well is not live, but it is
 * no rubbish either: the others may be damaged, or not durable, so what is removed has been written again.
 * @returns undefined where the segment is gone or cannot be read
 */
export async function viewOf(set: SegmentSet, segment: Segment, options: ViewOptions): Promise<View | undefined> {
  const { isDead, onDead, list } = options;
  const namespaces = new Map<string, string>();
  const records: LiveRecord[] = [];
  let liveBytes = 0;
  const see = (entry: RecordEntry, file: FileKey, item: PageItem): void => {
    const all = recordsOf(set.index, file, item.pageId);
    const record = all.find((one) => one.segment === segment.number && one.offset === entry.offset);
    if (!record) return;
    if (isDead(file)) {
      set.index.removeRecord(record);
      onDead();
      return;
    }
    const bytes = recordBytes(entry);
    if (!isTwice(record, all, item)) liveBytes += bytes;
    if (!list) return;
    // One string for all records: each name that was decoded is a string of its own.
    const ns = namespaces.get(file.ns) ?? file.ns;
    namespaces.set(ns, ns);
    const { pageId } = item;
    records.push({
      lo: file.lo,
      hi: file.hi,
      ns,
      key: pageHash({ ...file, pageId }),
      pageId,
      offset: entry.offset,
      bytes,
    });
  };
  const whole = await set.eachBatch(segment, (entries) => {
    let known: { readonly group: Buffer; readonly file: FileKey | undefined } | undefined;
    for (const entry of entries) {
      if (known?.group !== entry.group) known = { group: entry.group, file: fileKeyOf(entry.group) };
      const item = decodeItem(entry.item, entry.payloadBytes);
      if (known.file && item) see(entry, known.file, item);
    }
  });
  return whole ? { segment, fileBytes: segment.sizeBytes, records, liveBytes } : undefined;
}

/** Where the index has the record by now. */
export function indexed(index: RecordIndex, live: LiveRecord, segment: Segment): IndexedRecord | undefined {
  return recordsOf(index, live, live.pageId).find(
    (one) => one.segment === segment.number && one.offset === live.offset,
  );
}

/** Do other records hold all of it? */
function isTwice(record: IndexedRecord, all: readonly IndexedRecord[], item: PageItem): boolean {
  const others = all.filter((one) => one !== record);
  if (others.length === 0) return false;
  const bits = bitsOf(others, Math.ceil(item.len / GRANULE_BYTES));
  return [...bits.missingRuns(record.firstGranule, record.granules)].length === 0;
}
