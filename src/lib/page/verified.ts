// Verification of bytes that come from the store, and the only places where verified granules are made: nothing else
// can build the class, and caches and readers accept nothing else.
import { crc32c, crc32cCombine } from '../base/crc32c.ts';
import { SeekfsError } from '../base/errors.ts';
import type { Slab } from '../base/memory.ts';
import { blockCount, CHECK_BLOCK_BYTES, granuleLength, type GranuleSpan, type Page } from './page.ts';

const KEY = Symbol('verified');

function blocksOf(slabs: readonly Slab[]): number {
  let blocks = 0;
  for (const slab of slabs) blocks += blockCount(slab.bytes.length);
  return blocks;
}

function bytesOf(slabs: readonly Slab[]): number {
  let bytes = 0;
  for (const slab of slabs) bytes += slab.bytes.length;
  return bytes;
}

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
  readonly bytes: number;

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
    this.bytes = bytesOf(parts.slabs);
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
  const slabs: Slab[] = [];
  for (const run of runs) slabs.push(...run.slabs);
  const blockCrcs = new Uint32Array(blocksOf(slabs));
  let block = 0;
  for (const run of runs) {
    blockCrcs.set(run.blockCrcs, block);
    block += run.blockCrcs.length;
  }
  const span = { first: first.span.first, count: next - first.span.first };
  return new VerifiedRun(KEY, { page: first.page, span, slabs, blockCrcs });
}

/** CRCs of the check blocks of the slabs, and of each slab, in one pass over the bytes. */
function checksum(slabs: readonly Slab[]): { blockCrcs: Uint32Array; granuleCrcs: readonly number[] } {
  const blockCrcs = new Uint32Array(blocksOf(slabs));
  const granuleCrcs: number[] = [];
  let block = 0;
  for (const { bytes } of slabs) {
    let granuleCrc = 0;
    for (let off = 0; off < bytes.length; off += CHECK_BLOCK_BYTES) {
      const part = bytes.subarray(off, off + CHECK_BLOCK_BYTES);
      const crc = crc32c(part);
      blockCrcs[block++] = crc;
      granuleCrc = off === 0 ? crc : crc32cCombine(granuleCrc, crc, part.length);
    }
    granuleCrcs.push(granuleCrc);
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
  for (let index = 0; index < slabs.length; index += 1) {
    if (slabs[index]!.bytes.length !== granuleLength(page, span.first + index)) throw new RangeError('slab length');
  }
  const { blockCrcs, granuleCrcs } = checksum(slabs);
  if (page.kind === 'checked') {
    if (page.granuleCrcs) {
      for (let index = 0; index < granuleCrcs.length; index += 1) {
        const actual = granuleCrcs[index]!;
        const expected = page.granuleCrcs[span.first + index]!;
        if (actual !== expected) throw corrupt(page, `granule ${span.first + index}`, expected, actual);
      }
    } else {
      if (span.first !== 0 || bytesOf(slabs) !== page.len) {
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
