// The straight way of a short read of L2: its records' heads are known, its blocks were read before and so lie in the
// operating system's memory, slabs are there. No promise and next to no allocation. Whatever is in the way, damage
// included, is `undefined` here, and the segmentstore goes its general way, which deals with it.
import type { MemoryGovernor, Slab } from '../base/memory.ts';
import { MIB } from '../base/units.ts';
import { BLOCKS_PER_GRANULE, CHECK_BLOCK_BYTES, granulesOf, type Page } from '../page/page.ts';
import { cutOf, cutSlab, type PageRange } from './cuts.ts';
import type { FileKey } from './page-key.ts';
import type { IndexedRecord, RecordIndex } from './record-index.ts';
import type { RecordReader } from './record-reader.ts';

/** 0.2 ms of the event loop. Of more than that the checksums take so long that another thread had better read meanwhile. */
const BYTES_MAX = MIB;

export class WarmReads {
  readonly #index: RecordIndex;
  readonly #reader: RecordReader;
  readonly #memory: MemoryGovernor;

  constructor(parts: { index: RecordIndex; reader: RecordReader; memory: MemoryGovernor }) {
    this.#index = parts.index;
    this.#reader = parts.reader;
    this.#memory = parts.memory;
  }

  /** As `SegmentStore.read`; undefined also for what is there and takes longer. */
  read(page: Page, key: FileKey, range: PageRange): Slab[] | undefined {
    if (range.len > BYTES_MAX) return undefined;
    const { first, count } = granulesOf(range);
    const slabs: Slab[] = [];
    let record: IndexedRecord | undefined;
    for (let granule = first; granule < first + count; granule += 1) {
      if (!record || !holds(record, granule)) record = this.#recordOf(page, key, granule);
      const slab = record && this.#granule(record, page, key, granule, range);
      if (!slab) {
        for (const other of slabs) other.release();
        return undefined;
      }
      slabs.push(slab);
    }
    return slabs;
  }

  #recordOf(page: Page, key: FileKey, granule: number): IndexedRecord | undefined {
    const index = this.#index;
    for (let slot = index.find(key, page.pageId); slot >= 0; slot = index.findNext(slot, key, page.pageId)) {
      const record = index.at(slot);
      if (holds(record, granule)) return record;
    }
    return undefined;
  }

  #granule(record: IndexedRecord, page: Page, key: FileKey, granule: number, range: PageRange): Slab | undefined {
    const cut = cutOf(page, granule, range);
    const slab = this.#memory.tryAcquireOne(cut.blocksEnd - cut.blocksStart);
    if (!slab) return undefined;
    const first = (granule - record.firstGranule) * BLOCKS_PER_GRANULE + cut.blocksStart / CHECK_BLOCK_BYTES;
    if (this.#reader.blocksNow(record, { page, key, first }, slab.bytes)) return cutSlab(slab, cut);
    slab.release();
    return undefined;
  }
}

function holds(record: IndexedRecord, granule: number): boolean {
  return record.firstGranule <= granule && granule < record.firstGranule + record.granules;
}
