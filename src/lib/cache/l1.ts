// L1: verified granules in memory, one slab reference each, for the page cache. S3-FIFO (Yang et al., SOSP 2023): a
// small queue that new granules must survive, a main queue, and ghosts, so one scan cannot wash out what is hot. Gives
// slabs back when the memory governor asks. Knows nothing of disks, fetches or whole pages.
import { SLAB_BYTES, type MemoryGovernor, type Slab } from '../base/memory.ts';
import type { Cell, Metrics } from '../base/metrics.ts';
import { granuleLength, type GranuleSpan, type Page } from '../page/page.ts';

/** A granule that is cached (has a slab) or remembered (a ghost), linked into exactly one queue. */
interface Entry {
  readonly owner: PageSlots;
  readonly granule: number;
  slab: Slab | undefined;
  uses: number;
  /** Value of the insertion clock at the last use that counted. */
  usedAt: number;
  queue: Queue;
  newer: Entry | undefined;
  older: Entry | undefined;
}

/** What is known of one page. Found by path first: the string of the manifest is hashed already, no key is built. */
interface PageSlots {
  readonly file: FileSlots;
  readonly pageId: number;
  readonly slots: (Entry | undefined)[];
  known: number;
}

interface FileSlots {
  readonly ns: string;
  readonly path: string;
  readonly identity: string;
  readonly pages: Map<number, PageSlots>;
  /** Another version, or another namespace, with the same path: few, so a list will do. */
  next: FileSlots | undefined;
}

/** A first-in first-out queue of entries; any of them can leave in O(1). */
class Queue {
  #newest: Entry | undefined;
  oldest: Entry | undefined;
  length = 0;

  push(entry: Entry): void {
    entry.queue = this;
    entry.newer = undefined;
    entry.older = this.#newest;
    if (this.#newest) this.#newest.newer = entry;
    else this.oldest = entry;
    this.#newest = entry;
    this.length += 1;
  }

  remove(entry: Entry): void {
    if (entry.newer) entry.newer.older = entry.older;
    else this.#newest = entry.older;
    if (entry.older) entry.older.newer = entry.newer;
    else this.oldest = entry.newer;
    entry.newer = entry.older = undefined;
    this.length -= 1;
  }
}

const USES_MAX = 3;
const SMALL_SHARE = 0.1;

export class L1 {
  readonly limitBytes: number;
  readonly #governor: MemoryGovernor;
  readonly #unregister: () => void;
  readonly #bytes: Cell;
  readonly #evictions: Cell;
  readonly #files = new Map<string, FileSlots>();
  readonly #small = new Queue();
  readonly #main = new Queue();
  readonly #ghosts = new Queue();
  /** Insertions so far: the clock by which uses are told apart. */
  #clock = 0;
  #closed = false;

  /** @param options.limitBytes bound of the memory that L1 pins, counted in whole slabs; 0 caches nothing */
  constructor(options: { limitBytes: number; governor: MemoryGovernor; metrics: Metrics }) {
    this.limitBytes = Math.floor(Math.min(options.limitBytes, options.governor.limitBytes) / SLAB_BYTES) * SLAB_BYTES;
    this.#governor = options.governor;
    this.#bytes = options.metrics.cell('seekfs_l1_bytes');
    this.#evictions = options.metrics.cell('seekfs_l1_evictions_total');
    this.#unregister = options.governor.onPressure((slabs) => this.#giveBack(slabs));
  }

  /** Memory pinned: whole slabs, also where a granule fills only part of one. */
  get bytes(): number {
    return (this.#small.length + this.#main.length) * SLAB_BYTES;
  }

  /** The granule's slab, retained for the caller, who releases it. */
  get(page: Page, granule: number): Slab | undefined {
    const entry = this.#pageOf(page)?.slots[granule];
    if (!entry?.slab) return undefined;
    // Small reads of one granule, one after the other, are one use of it: otherwise a scan in 4 KiB steps looks hot.
    if (this.#clock - entry.usedAt > this.#small.length / 4) {
      entry.usedAt = this.#clock;
      entry.uses = Math.min(entry.uses + 1, USES_MAX);
    }
    return entry.slab.retain();
  }

  /** Whether the granule is here; not a use of it. */
  has(page: Page, granule: number): boolean {
    return this.#pageOf(page)?.slots[granule]?.slab !== undefined;
  }

  /**
   * Offers a verified granule, whose length `slab.bytes` must have exactly. L1 retains the slab for itself; the
   * caller's reference stays the caller's.
   */
  put(page: Page, granule: number, slab: Slab): void {
    if (slab.bytes.length !== granuleLength(page, granule)) throw new RangeError('slab length');
    if (this.#closed || this.limitBytes === 0) return;
    const owner = this.#pageOf(page) ?? this.#addPage(page);
    const known = owner.slots[granule];
    if (known?.slab) return;
    const entry = known ?? this.#addEntry(owner, granule);
    if (known) this.#ghosts.remove(known);
    // Before it is in a queue: a small cache would otherwise evict what it has just been given.
    while (this.bytes >= this.limitBytes) this.#evict();
    entry.slab = slab.retain();
    entry.uses = 0;
    this.#clock += 1;
    entry.usedAt = this.#clock;
    (known ? this.#main : this.#small).push(entry);
    this.#bytes.value = this.bytes;
  }

  /** Forgets the granules, whoever finds them bad. */
  drop(page: Page, span: GranuleSpan): void {
    const slots = this.#pageOf(page)?.slots ?? [];
    for (const entry of slots.slice(span.first, span.first + span.count)) if (entry) this.#forget(entry);
    this.#bytes.value = this.bytes;
  }

  /** Releases every slab and takes no more. */
  close(): void {
    this.#closed = true;
    this.#unregister();
    for (const queue of [this.#small, this.#main, this.#ghosts]) {
      for (let entry = queue.oldest; entry; entry = queue.oldest) this.#forget(entry);
    }
    this.#bytes.value = 0;
  }

  #giveBack(slabs: number): void {
    // A slab that a response still holds frees nothing yet, so count what the governor got: a reader that holds some
    // and waits for more must never wait for slabs that only L1 holds.
    const target = this.#governor.inUseBytes - slabs * SLAB_BYTES;
    while (this.#governor.inUseBytes > target && this.bytes > 0) this.#evict();
    this.#bytes.value = this.bytes;
  }

  /** Evicts one granule. Terminates: each step moves an entry out of `small` or lowers a count of uses in `main`. */
  #evict(): void {
    for (;;) {
      const smallMax = Math.max(1, Math.floor((this.#small.length + this.#main.length) * SMALL_SHARE));
      const fromSmall = this.#small.length >= smallMax || this.#main.length === 0;
      const queue = fromSmall ? this.#small : this.#main;
      const entry = queue.oldest!;
      queue.remove(entry);
      if (entry.uses > (fromSmall ? 1 : 0)) {
        entry.uses = fromSmall ? 0 : entry.uses - 1;
        this.#main.push(entry);
        continue;
      }
      const slab = entry.slab!;
      entry.slab = undefined;
      this.#evictions.value += 1;
      if (fromSmall) this.#remember(entry);
      else this.#unlink(entry);
      // Last, because it may wake a waiter, for whom the governor comes back here to ask for more.
      slab.release();
      return;
    }
  }

  #remember(entry: Entry): void {
    this.#ghosts.push(entry);
    if (this.#ghosts.length * SLAB_BYTES > this.limitBytes) {
      const oldest = this.#ghosts.oldest!;
      this.#ghosts.remove(oldest);
      this.#unlink(oldest);
    }
  }

  #forget(entry: Entry): void {
    const { slab } = entry;
    entry.queue.remove(entry);
    entry.slab = undefined;
    this.#unlink(entry);
    slab?.release();
  }

  #pageOf(page: Page): PageSlots | undefined {
    let file = this.#files.get(page.path);
    while (file && (file.identity !== page.identity || file.ns !== page.ns)) file = file.next;
    return file?.pages.get(page.pageId);
  }

  #addPage(page: Page): PageSlots {
    const first = this.#files.get(page.path);
    let file = first;
    while (file && (file.identity !== page.identity || file.ns !== page.ns)) file = file.next;
    if (!file) {
      file = { ns: page.ns, path: page.path, identity: page.identity, pages: new Map(), next: first };
      this.#files.set(page.path, file);
    }
    const owner: PageSlots = { file, pageId: page.pageId, slots: [], known: 0 };
    file.pages.set(page.pageId, owner);
    return owner;
  }

  #addEntry(owner: PageSlots, granule: number): Entry {
    const entry: Entry = {
      owner,
      granule,
      slab: undefined,
      uses: 0,
      usedAt: 0,
      queue: this.#small,
      newer: undefined,
      older: undefined,
    };
    owner.slots[granule] = entry;
    owner.known += 1;
    return entry;
  }

  /** Takes an entry that is in no queue out of its page, and the page and file with it when nothing is left of them. */
  #unlink(entry: Entry): void {
    const { owner } = entry;
    owner.slots[entry.granule] = undefined;
    owner.known -= 1;
    if (owner.known > 0) return;
    const { file } = owner;
    file.pages.delete(owner.pageId);
    if (file.pages.size > 0) return;
    const first = this.#files.get(file.path);
    if (first === file) {
      if (file.next) this.#files.set(file.path, file.next);
      else this.#files.delete(file.path);
      return;
    }
    let before = first;
    while (before && before.next !== file) before = before.next;
    if (before) before.next = file.next;
  }
}
