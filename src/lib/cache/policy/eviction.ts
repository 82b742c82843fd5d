// Which segment goes, and which of its records are written again: pure, over what L2 knows of its sealed segments.

/** A sealed segment as eviction sees it. */
export interface SegmentView<Item extends SizedRecord> {
  /** Length of the file: what evicting it gives back before reinsertion. */
  readonly fileBytes: number;
  /** Its live records; those of dead versions and overwritten ones are left out and so are dropped. */
  readonly records: readonly Item[];
}

export interface SizedRecord {
  /** Of the whole record in the file. */
  readonly bytes: number;
}

export interface EvictionPlan<Segment, Item> {
  readonly victim: Segment;
  /** To be written again, hottest first, before the segment is unlinked. */
  readonly survivors: readonly Item[];
}

/** At least this share of a victim is given back, however hot its pages are: eviction always makes progress. */
const FREED_SHARE_MIN = 0.25;
/** Records looked at to estimate what a segment would free. */
const SAMPLED_RECORDS = 64;

/**
 * The segment that frees the largest share of itself, the first of equals (give them oldest first), and the records
 * of it with a score above 0, as far as progress allows.
 * @returns undefined when there are no segments
 */
export function planEviction<Item extends SizedRecord, Segment extends SegmentView<Item>>(
  segments: readonly Segment[],
  scoreOf: (record: Item) => number,
): EvictionPlan<Segment, Item> | undefined {
  let victim: Segment | undefined;
  let freedShareMax = -1;
  for (const segment of segments) {
    const freedShare = 1 - survivingBytes(segment, scoreOf) / Math.max(1, segment.fileBytes);
    if (freedShare > freedShareMax) [victim, freedShareMax] = [segment, freedShare];
  }
  return victim && { victim, survivors: survivorsOf(victim, scoreOf) };
}

function survivingBytes<Item extends SizedRecord>(
  segment: SegmentView<Item>,
  scoreOf: (record: Item) => number,
): number {
  const { records } = segment;
  const step = Math.max(1, Math.floor(records.length / SAMPLED_RECORDS));
  let [sampledBytes, hotBytes, liveBytes] = [0, 0, 0];
  for (const [index, record] of records.entries()) {
    liveBytes += record.bytes;
    if (index % step !== 0) continue;
    sampledBytes += record.bytes;
    if (scoreOf(record) > 0) hotBytes += record.bytes;
  }
  return sampledBytes === 0 ? 0 : (liveBytes * hotBytes) / sampledBytes;
}

function survivorsOf<Item extends SizedRecord>(segment: SegmentView<Item>, scoreOf: (record: Item) => number): Item[] {
  const hottestFirst = segment.records
    .map((record) => ({ record, score: scoreOf(record) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score);
  const survivors: Item[] = [];
  let leftBytes = segment.fileBytes * (1 - FREED_SHARE_MIN);
  for (const { record } of hottestFirst) {
    if (record.bytes > leftBytes) continue;
    leftBytes -= record.bytes;
    survivors.push(record);
  }
  return survivors;
}
