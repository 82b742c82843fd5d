// Writes pages again that lie in segments which are to go: verified on the way, joined where a page lies in several
// records. Used by maintenance alone; what it cannot read or has no room for is left to be fetched again.
import type { MemoryGovernor } from '../base/memory.ts';
import { SLAB_BYTES } from '../base/memory.ts';
import {
  BLOCKS_PER_GRANULE,
  CHECK_BLOCK_BYTES,
  GRANULE_BYTES,
  granuleLength,
  type GranuleSpan,
  type Page,
} from '../page/page.ts';
import type { LogWriter } from './log-writer.ts';
import { encodeItem, fileKeyOf, itemOf, PAGE_RECORD_KIND, type FileKey, type PageItem } from './page-key.ts';
import { bitsOf, planPieces, recordsOf, type Piece } from './pieces.ts';
import type { IndexedRecord } from './record-index.ts';
import type { RecordReader, Unread } from './record-reader.ts';
import type { SegmentSet } from './segment-set.ts';

/** Granules that are copied at a time when the memory limit leaves nothing. */
const OWN_GRANULES = 8;

/**
 * `damaged`, or gone meanwhile; `failed`: the disk does not give it now, later it may; `no-room`: the bounds of the cache
 * are reached.
 */
export type Rewritten = 'written' | 'damaged' | 'failed' | 'no-room';

export interface RewriterParts {
  readonly set: SegmentSet;
  readonly reader: RecordReader;
  readonly writer: LogWriter;
  readonly memory: MemoryGovernor;
  readonly clock: { nowMs(): number };
}

export class Rewriter {
  readonly #parts: RewriterParts;
  #own: Buffer | undefined;

  constructor(parts: RewriterParts) {
    this.#parts = parts;
  }

  /**
   * Writes the stretch of granules around the record again, with what other records hold of it, and takes the old
   * records that lie within it out of the index.
   * @throws system errors of writing
   */
  async rewrite(record: IndexedRecord): Promise<Rewritten> {
    const { set, reader } = this.#parts;
    const { index } = set;
    const known = await reader.headOf(record);
    if (typeof known === 'string') return known === 'failed' ? 'failed' : 'damaged';
    const { item } = known;
    const file = fileKeyOf(known.head.group);
    if (!file) return 'damaged';
    // Damage that comes to light takes its record out of the index: what other records hold of the page stays.
    for (let left = Infinity; ;) {
      const old = recordsOf(index, file, item.pageId);
      if (old.length >= left || !old.some((one) => samePlace(one, record))) return 'damaged';
      const rewritten = await this.#rewriteStretch(record, file, item, old);
      if (rewritten !== 'damaged') return rewritten;
      left = old.length;
    }
  }

  async #rewriteStretch(
    record: IndexedRecord,
    file: FileKey,
    item: PageItem,
    old: readonly IndexedRecord[],
  ): Promise<Rewritten> {
    const { index } = this.#parts.set;
    const page = pageOf(file, item);
    const stretch = stretchAround(record, old, Math.ceil(item.len / GRANULE_BYTES));
    // A quarter of the memory at a time, so that demand can go on; less where even that is scarce.
    let atOnce = Math.max(1, Math.min(64, Math.floor(this.#parts.memory.limitBytes / SLAB_BYTES / 4)));
    const end = stretch.first + stretch.count;
    for (let first = stretch.first; first < end;) {
      const copied = await this.#copy(page, file, { first, count: Math.min(atOnce, end - first) }, old);
      if (copied === 'no-memory') {
        atOnce = OWN_GRANULES;
        continue;
      }
      if (copied !== 'written') return copied;
      first += atOnce;
    }
    for (const copied of old) {
      if (copied.firstGranule >= stretch.first && copied.firstGranule + copied.granules <= end) {
        index.removeRecord(copied);
      }
    }
    return 'written';
  }

  async #copy(
    page: Page,
    file: FileKey,
    span: GranuleSpan,
    old: readonly IndexedRecord[],
  ): Promise<Rewritten | 'no-memory'> {
    const { memory, reader, writer, clock } = this.#parts;
    const pieces = planPieces(old, span);
    if (!pieces) return 'damaged';
    const lengths = Array.from({ length: span.count }, (_, index) => granuleLength(page, span.first + index));
    // Never in line behind readers: they may wait for slabs of the write queue, which waits for the room that is made here.
    const slabs = await memory.acquire(lengths, { lane: 'speculation' });
    try {
      const payload = slabs?.map((slab) => slab.bytes) ?? this.#ownBuffers(lengths);
      if (!payload) return 'no-memory';
      const payloadBytes = lengths.reduce((sum, length) => sum + length, 0);
      const blockCrcs = new Uint32Array(Math.ceil(payloadBytes / CHECK_BLOCK_BYTES));
      for (const piece of pieces) {
        const read = await readPiece(reader, page, file, { piece, span, payload, blockCrcs });
        if (read !== true) return read === 'failed' ? 'failed' : 'damaged';
      }
      const item = encodeItem(itemOf(page, span.first));
      const { group } = file;
      const record = { kind: PAGE_RECORD_KIND, group, item, payloadBytes, writtenAtMs: clock.nowMs(), blockCrcs };
      return (await writer.append([{ key: file, record, payload }])) === 1 ? 'written' : 'no-room';
    } finally {
      for (const slab of slabs ?? []) slab.release();
    }
  }

  /** A megabyte outside of the governor's limit, for as long as a run of maintenance lasts and memory is short. */
  #ownBuffers(lengths: readonly number[]): Buffer[] | undefined {
    if (lengths.length > OWN_GRANULES) return undefined;
    this.#own ??= Buffer.allocUnsafeSlow(OWN_GRANULES * SLAB_BYTES);
    const own = this.#own;
    return lengths.map((length, index) => own.subarray(index * SLAB_BYTES, index * SLAB_BYTES + length));
  }
}

async function readPiece(
  reader: RecordReader,
  page: Page,
  file: FileKey,
  into: { piece: Piece; span: GranuleSpan; payload: readonly Buffer[]; blockCrcs: Uint32Array },
): Promise<true | Unread> {
  const { piece, span, payload, blockCrcs } = into;
  const known = await reader.head(piece.record, page, file);
  if (typeof known === 'string') return known;
  const at = piece.first - span.first;
  const buffers = payload.slice(at, at + piece.count);
  const firstBlock = (piece.first - piece.record.firstGranule) * BLOCKS_PER_GRANULE;
  const read = await reader.blocks(piece.record, known, firstBlock, buffers);
  if (read !== true) return read;
  const blocks = Math.ceil(buffers.reduce((sum, bytes) => sum + bytes.length, 0) / CHECK_BLOCK_BYTES);
  blockCrcs.set(known.head.blockCrcs.subarray(firstBlock, firstBlock + blocks), at * BLOCKS_PER_GRANULE);
  return true;
}

function samePlace(a: IndexedRecord, b: IndexedRecord): boolean {
  return a.segment === b.segment && a.offset === b.offset;
}

/** The maximal stretch of granules that the records hold and in which this one lies. */
function stretchAround(record: IndexedRecord, all: readonly IndexedRecord[], granules: number): GranuleSpan {
  const bits = bitsOf(all, granules);
  let first = record.firstGranule;
  let end = Math.min(granules, first + record.granules);
  while (first > 0 && bits.has(first - 1)) first -= 1;
  while (end < granules && bits.has(end)) end += 1;
  return { first, count: end - first };
}

function pageOf(file: FileKey, item: PageItem): Page {
  const { ns, path, identity } = file;
  const { pageId, off, len, crc32c, checked } = item;
  const base = { ns, path, identity, pageId, off, len };
  return checked ? { kind: 'checked', ...base, crc32c } : { kind: 'unchecked', ...base };
}
