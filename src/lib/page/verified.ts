// Verification of bytes that come from the store, and the only places where verified granules are made: nothing else
// can build the class, and caches and readers accept nothing else.
import { crc32c, crc32cCombine } from '../base/crc32c.ts';
import { SeekfsError } from '../base/errors.ts';
import type { Slab } from '../base/memory.ts';
import { blockCount, CHECK_BLOCK_BYTES, granuleLength, type GranuleSpan, type Page } from './page.ts';

const KEY = Symbol('verified');

/**
 * A run of granules of one page whose bytes were checked against the manifest. It holds one reference of each slab;
 * `release` gives them back, and a cache that keeps one retains it for itself.
 */
export class VerifiedRun {
  readonly page: Page;
  readonly span: GranuleSpan;
  /** One slab a granule, `bytes` of exactly the granule's length. */
  readonly slabs: readonly Slab[];
  /** CRC32C of each check block of the run, in order. */
  readonly blockCrcs: Uint32Array;

  /** @internal */
  constructor(
    key: typeof KEY,
    parts: { page: Page; span: GranuleSpan; slabs: readonly Slab[]; blockCrcs: Uint32Array },
  ) {
    if (key !== KEY) throw new TypeError('a VerifiedRun is made by verifyRun only');
    this.page = parts.page;
    this.span = parts.span;
    this.slabs = parts.slabs;
    this.blockCrcs = parts.blockCrcs;
  }

  get bytes(): number {
    return this.slabs.reduce((sum, slab) => sum + slab.bytes.length, 0);
  }

  retain(): VerifiedRun {
    for (const slab of this.slabs) slab.retain();
    return this;
  }

  release(): void {
    for (const slab of this.slabs) slab.release();
  }
}

/**
 * Neighbouring runs of one page, in order, as one, so that a page that was verified granule by granule is one record.
 * Takes over the references of the runs.
 */
export function joinRuns(runs: readonly VerifiedRun[]): VerifiedRun {
  const first = runs[0]!;
  if (runs.length === 1) return first;
  let next = first.span.first;
  for (const run of runs) {
    if (run.page !== first.page || run.span.first !== next) throw new RangeError('runs are not neighbours');
    next += run.span.count;
  }
  const blockCrcs = new Uint32Array(runs.reduce((sum, run) => sum + run.blockCrcs.length, 0));
  let block = 0;
  for (const run of runs) {
    blockCrcs.set(run.blockCrcs, block);
    block += run.blockCrcs.length;
  }
  const span = { first: first.span.first, count: next - first.span.first };
  return new VerifiedRun(KEY, { page: first.page, span, slabs: runs.flatMap((run) => run.slabs), blockCrcs });
}

/** CRCs of the check blocks of the slabs, and of each slab, in one pass over the bytes. */
function checksum(slabs: readonly Slab[]): { blockCrcs: Uint32Array; granuleCrcs: Uint32Array } {
  const blockCrcs = new Uint32Array(slabs.reduce((sum, slab) => sum + blockCount(slab.bytes.length), 0));
  const granuleCrcs = new Uint32Array(slabs.length);
  let block = 0;
  for (const [index, slab] of slabs.entries()) {
    let granuleCrc = 0;
    for (let off = 0; off < slab.bytes.length; off += CHECK_BLOCK_BYTES) {
      const bytes = slab.bytes.subarray(off, off + CHECK_BLOCK_BYTES);
      const crc = crc32c(bytes);
      blockCrcs[block++] = crc;
      granuleCrc = off === 0 ? crc : crc32cCombine(granuleCrc, crc, bytes.length);
    }
    granuleCrcs[index] = granuleCrc;
  }
  return { blockCrcs, granuleCrcs };
}

function corrupt(page: Page, what: string, expected: number, actual: number): SeekfsError {
  const hex = (crc: number): string => `0x${crc.toString(16).padStart(8, '0')}`;
  return new SeekfsError(
    'page_corrupt',
    `${what} of page ${page.pageId} of ${page.path} has CRC32C ${hex(actual)} in the store, the manifest says ${hex(expected)}`,
    { details: { ns: page.ns, path: page.path, page_id: page.pageId, expected, actual } },
  );
}

/**
 * Checks granules [span] of a page, whose bytes are in `slabs`, against the manifest: against the granule CRCs where it
 * has them, else against the page CRC, for which the span must be the whole page. An unchecked page passes.
 * The run takes over the caller's reference of each slab; when it throws, the caller still owns them.
 * @throws page_corrupt
 */
export function verifyRun(page: Page, span: GranuleSpan, slabs: readonly Slab[]): VerifiedRun {
  if (slabs.length !== span.count) throw new RangeError('one slab a granule');
  for (const [index, slab] of slabs.entries()) {
    if (slab.bytes.length !== granuleLength(page, span.first + index)) throw new RangeError('slab length');
  }
  const { blockCrcs, granuleCrcs } = checksum(slabs);
  if (page.kind === 'checked') {
    if (page.granuleCrcs) {
      for (const [index, actual] of granuleCrcs.entries()) {
        const expected = page.granuleCrcs[span.first + index]!;
        if (actual !== expected) throw corrupt(page, `granule ${span.first + index}`, expected, actual);
      }
    } else {
      if (span.first !== 0 || slabs.reduce((sum, slab) => sum + slab.bytes.length, 0) !== page.len) {
        throw new RangeError('a page without granule CRCs can only be verified whole');
      }
      let actual = granuleCrcs[0]!;
      for (let index = 1; index < slabs.length; index += 1) {
        actual = crc32cCombine(actual, granuleCrcs[index]!, slabs[index]!.bytes.length);
      }
      if (actual !== page.crc32c) throw corrupt(page, 'content', page.crc32c, actual);
    }
  }
  return new VerifiedRun(KEY, { page, span, slabs, blockCrcs });
}
