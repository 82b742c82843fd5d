// The page cache: L1 in memory over L2 on disk, either of which may be absent. Used by the read path through the
// contract in page-cache.ts; knows nothing of fetches, and nothing of how either layer works.
import { andThen, type MaybePromise } from '../base/maybe-promise.ts';
import type { Slab } from '../base/memory.ts';
import type { Cell, Metrics } from '../base/metrics.ts';
import { GRANULE_BYTES, granuleCount, granuleLength, granulesOf, type GranuleSpan, type Page } from '../page/page.ts';
import type { VerifiedRun } from '../page/verified.ts';
import { GranuleBits } from './granule-bits.ts';
import type { L1 } from './l1.ts';
import type { PageCache, Presence } from './page-cache.ts';
import type { SegmentStore } from './segment-store.ts';

export interface PageCacheLayers {
  readonly l1?: L1 | undefined;
  /** Undefined: backend `mem`. */
  readonly l2?: SegmentStore | undefined;
  readonly metrics: Metrics;
}

/** The cache owns its layers from now on: `close` closes them. */
export function createPageCache(layers: PageCacheLayers): PageCache {
  return new LayeredCache(layers);
}

class LayeredCache implements PageCache {
  readonly #l1: L1 | undefined;
  readonly #l2: SegmentStore | undefined;
  readonly #l1HitBytes: Cell;

  constructor(layers: PageCacheLayers) {
    this.#l1 = layers.l1;
    this.#l2 = layers.l2;
    this.#l1HitBytes = layers.metrics.cell('seekfs_l1_hit_bytes_total');
  }

  presence(page: Page, options: { readonly lasting?: boolean | undefined } = {}): Presence | Promise<Presence> {
    const onDisk = this.#l2?.presence(page) ?? new GranuleBits(granuleCount(page));
    if (this.#l2 && options.lasting) return onDisk;
    return onDisk instanceof Promise ? onDisk.then((bits) => this.#withL1(page, bits)) : this.#withL1(page, onDisk);
  }

  #withL1(page: Page, bits: GranuleBits): Presence {
    if (!this.#l1 || bits.complete) return bits;
    for (let granule = 0; granule < granuleCount(page); granule += 1) {
      if (this.#l1.has(page, granule)) bits.add(granule, 1);
    }
    return bits;
  }

  read(
    page: Page,
    range: { readonly off: number; readonly len: number },
    options: { readonly signal?: AbortSignal | undefined },
  ): MaybePromise<Slab[] | undefined> {
    const { first, count } = granulesOf(range);
    const slabs = this.#allFromL1(page, range);
    if (slabs) return slabs;
    if (this.#nextInL1(page, first, first + count) < first + count) return this.#readThrough(page, range, options);
    return andThen(this.#l2?.read(page, range, options), (read) => {
      this.#l2?.noteUse(page, read !== undefined);
      if (read) this.#keepWhole(page, first, read);
      return read;
    });
  }

  #allFromL1(page: Page, range: { readonly off: number; readonly len: number }): Slab[] | undefined {
    const { first, count } = granulesOf(range);
    if (!this.#l1?.has(page, first) || this.#nextAbsent(page, first + 1, first + count) < first + count)
      return undefined;
    const slabs: Slab[] = [];
    for (let granule = first; granule < first + count; granule += 1) slabs.push(this.#fromL1(page, granule, range)!);
    this.#l1HitBytes.value += range.len;
    this.#l2?.noteUse(page, true);
    return slabs;
  }

  #nextAbsent(page: Page, from: number, end: number): number {
    let granule = from;
    while (granule < end && this.#l1!.has(page, granule)) granule += 1;
    return granule;
  }

  /** Of both layers. */
  async #readThrough(
    page: Page,
    range: { readonly off: number; readonly len: number },
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<Slab[] | undefined> {
    const { first, count } = granulesOf(range);
    const end = range.off + range.len;
    const slabs: Slab[] = [];
    let hitBytes = 0;
    try {
      for (let granule = first; granule < first + count;) {
        const here = this.#fromL1(page, granule, range);
        if (here) {
          slabs.push(here);
          hitBytes += here.bytes.length;
          granule += 1;
          continue;
        }
        const stop = this.#nextInL1(page, granule + 1, first + count);
        const off = Math.max(range.off, granule * GRANULE_BYTES);
        const rest = { off, len: Math.min(end, stop * GRANULE_BYTES) - off };
        const read = await this.#l2?.read(page, rest, options);
        if (!read) {
          this.#l2?.noteUse(page, false);
          for (const slab of slabs) slab.release();
          return undefined;
        }
        slabs.push(...read);
        this.#keepWhole(page, granule, read);
        granule = stop;
      }
    } catch (error) {
      for (const slab of slabs) slab.release();
      throw error;
    }
    this.#l2?.noteUse(page, true);
    this.#l1HitBytes.value += hitBytes;
    return slabs;
  }

  #nextInL1(page: Page, from: number, end: number): number {
    if (!this.#l1) return end;
    for (let granule = from; granule < end; granule += 1) if (this.#l1.has(page, granule)) return granule;
    return end;
  }

  /** The wanted part of a granule that L1 holds. */
  #fromL1(page: Page, granule: number, range: { readonly off: number; readonly len: number }): Slab | undefined {
    const whole = this.#l1?.get(page, granule);
    if (!whole) return undefined;
    const start = Math.max(0, range.off - granule * GRANULE_BYTES);
    const end = Math.min(whole.bytes.length, range.off + range.len - granule * GRANULE_BYTES);
    if (start === 0 && end === whole.bytes.length) return whole;
    const part = whole.slice(start, end);
    whole.release();
    return part;
  }

  #keepWhole(page: Page, first: number, slabs: readonly Slab[]): void {
    if (!this.#l1) return;
    for (const [index, slab] of slabs.entries()) {
      if (slab.bytes.length === granuleLength(page, first + index)) this.#l1.put(page, first + index, slab);
    }
  }

  insert(run: VerifiedRun, options: { readonly demand: boolean; readonly onWritten?: (() => void) | undefined }): void {
    if (options.demand) this.#l2?.noteUse(run.page, false);
    const onDisk = this.#l2?.insert(run, { patient: !options.demand, onWritten: options.onWritten }) ?? false;
    // What was fetched ahead must not push out what readers use, unless there is no other place for it.
    if (this.#l1 && (!onDisk || options.demand)) {
      for (const [index, slab] of run.slabs.entries()) this.#l1.put(run.page, run.span.first + index, slab);
    }
    // Last, because the caller gives the run back then.
    if (!onDisk) options.onWritten?.();
  }

  keepsAhead(page: Page): boolean {
    return (this.#l1?.limitBytes ?? 0) > 0 || (this.#l2?.keepsAhead(page) ?? false);
  }

  async refresh(): Promise<void> {
    await this.#l2?.refresh();
  }

  async drain(): Promise<void> {
    await this.#l2?.drain();
  }

  drop(page: Page, span: GranuleSpan): void {
    this.#l1?.drop(page, span);
    this.#l2?.drop(page, span);
  }

  async close(): Promise<void> {
    await this.#l2?.close();
    this.#l1?.close();
  }
}
