// A PageCache in plain memory: the reference for what the read path may expect of one, with switches for the ways in
// which a real one says no. Holds copies, so slabs come back at once.
import type { MemoryGovernor, Slab } from '../../src/lib/base/memory.ts';
import type { PageCache, Presence } from '../../src/lib/cache/page-cache.ts';
import { GRANULE_BYTES, granuleCount, granulesOf, type GranuleSpan, type Page } from '../../src/lib/page/page.ts';
import type { VerifiedRun } from '../../src/lib/page/verified.ts';

export class MemoryPageCache implements PageCache {
  readonly #memory: MemoryGovernor;
  readonly #granules = new Map<string, Buffer>();
  /** Admits nothing more once it holds so many granules, as `retain` does. */
  capacityGranules = Infinity;
  /** Says that it has everything and delivers nothing. */
  lies = false;
  readonly #damaged = new Set<string>();
  /** Finds what was inserted only some turns later, as a cache does that writes behind. */
  writesLate = false;
  inserts = 0;
  #late: Promise<void> = Promise.resolve();

  constructor(memory: MemoryGovernor) {
    this.#memory = memory;
  }

  get granules(): number {
    return this.#granules.size;
  }

  presence(page: Page): Presence {
    const has = (granule: number): boolean => this.lies || this.#granules.has(keyOf(page, granule));
    return {
      has,
      get complete() {
        for (let granule = 0; granule < granuleCount(page); granule += 1) if (!has(granule)) return false;
        return true;
      },
    };
  }

  keepsAhead(): boolean {
    return this.granules < this.capacityGranules;
  }

  async read(
    page: Page,
    range: { readonly off: number; readonly len: number },
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<Slab[] | undefined> {
    const { first, count } = granulesOf(range);
    const parts: Buffer[] = [];
    for (let granule = first; granule < first + count; granule += 1) {
      const bytes = this.#granules.get(keyOf(page, granule));
      if (!bytes || this.#damaged.has(keyOf(page, granule))) return undefined;
      const start = Math.max(0, range.off - granule * GRANULE_BYTES);
      parts.push(bytes.subarray(start, Math.min(bytes.length, range.off + range.len - granule * GRANULE_BYTES)));
    }
    const slabs = await this.#memory.acquire(
      parts.map((part) => part.length),
      { lane: 'demand', signal: options.signal },
    );
    for (const [index, slab] of slabs!.entries()) slab.bytes.set(parts[index]!);
    return slabs;
  }

  insert(run: VerifiedRun, options: { readonly onWritten?: (() => void) | undefined }): void {
    this.inserts += 1;
    const write = (): void => {
      for (const [index, slab] of run.slabs.entries()) {
        if (this.#granules.size >= this.capacityGranules) break;
        const granule = run.span.first + index;
        this.#granules.set(keyOf(run.page, granule), this.copyOf(run.page, granule, slab.bytes));
      }
      options.onWritten?.();
    };
    if (!this.writesLate) {
      write();
      return;
    }
    run.retain();
    const before = this.#late;
    this.#late = (async () => {
      await before;
      write();
      run.release();
    })();
  }

  /** A test that knows the bytes may keep those instead. */
  protected copyOf(_page: Page, _granule: number, of: Buffer): Buffer {
    return Buffer.from(of);
  }

  refresh(): Promise<void> {
    return Promise.resolve();
  }

  /** As if a read would find the granule's checksum wrong. */
  damage(page: Page, granule: number): void {
    this.#damaged.add(keyOf(page, granule));
  }

  drain(): Promise<void> {
    return this.#late;
  }

  drop(page: Page, span: GranuleSpan): void {
    for (let granule = span.first; granule < span.first + span.count; granule += 1) {
      this.#granules.delete(keyOf(page, granule));
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function keyOf(page: Page, granule: number): string {
  return JSON.stringify([page.ns, page.path, page.identity, page.pageId, page.off, page.len, granule]);
}
