// Cuts ranges of files into batches: what the cache has not, as much at a time as one large GET may bring. For warming;
// sends nothing.
import { setImmediate } from 'node:timers/promises';
import type { ByteRange } from '../base/byte-range.ts';
import type { PageCache } from '../cache/page-cache.ts';
import { GRANULE_BYTES, granuleCount, granulesOf, type GranuleSpan } from '../page/page.ts';
import { piecesOf, type FilePages, type PagePiece } from './pages.ts';
import { spanBytes, spansOf } from './plan.ts';

export interface FileRange extends ByteRange {
  readonly file: FilePages;
}

export interface Batch {
  /** In whole granules. */
  readonly pieces: readonly PagePiece[];
  readonly bytes: number;
}

interface OpenBatch {
  readonly pieces: PagePiece[];
  bytes: number;
  slabs: number;
}

export interface BatchingOptions {
  /** A batch has at most so many bytes, and granules for so many; but always a granule (or page, where only that can be verified). */
  readonly batchBytesMax: number;
  /** Count as missing what only the memory of this process has. */
  readonly lasting?: boolean | undefined;
  readonly onCached?: ((bytes: number) => void) | undefined;
}

const PAGES_A_TURN = 1000;

function missingSpans(piece: PagePiece, has: (granule: number) => boolean): GranuleSpan[] {
  const { page, whole } = piece.filePage;
  const span = granulesOf(piece);
  const missing: number[] = [];
  for (let granule = span.first; granule < span.first + span.count; granule += 1) {
    if (!has(granule)) missing.push(granule);
  }
  return whole && missing.length > 0 ? [{ first: 0, count: granuleCount(page) }] : spansOf(missing);
}

function pieceOf({ filePage }: PagePiece, span: GranuleSpan): PagePiece {
  return { filePage, off: span.first * GRANULE_BYTES, len: spanBytes(filePage.page, span) };
}

/** What of the piece the cache has not, in whole granules (or the whole page, where only that can be verified). */
export async function missingOf(
  cache: PageCache,
  piece: PagePiece,
  options: { lasting?: boolean | undefined } = {},
): Promise<PagePiece[]> {
  const presence = await cache.presence(piece.filePage.page, { lasting: options.lasting });
  if (presence.complete) return [];
  return missingSpans(piece, (granule) => presence.has(granule)).map((span) => pieceOf(piece, span));
}

export async function* batchesOf(
  cache: PageCache,
  targets: AsyncIterable<FileRange> | Iterable<FileRange>,
  options: BatchingOptions,
): AsyncGenerator<Batch, void, undefined> {
  const { batchBytesMax, lasting, onCached } = options;
  let batch: OpenBatch = { pieces: [], bytes: 0, slabs: 0 };
  function* flush(): Generator<Batch, void, undefined> {
    if (batch.pieces.length > 0) yield batch;
    batch = { pieces: [], bytes: 0, slabs: 0 };
  }
  let looked = 0;
  for await (const target of targets) {
    let first = true;
    for (const piece of piecesOf(target.file, target)) {
      // Millions of pages may be there already: the event loop gets its turn in between.
      looked += 1;
      if (looked % PAGES_A_TURN === 0) await setImmediate();
      const missing = await missingOf(cache, piece, { lasting });
      const missingBytes = missing.reduce((sum, { len }) => sum + len, 0);
      if (missingBytes < piece.len) onCached?.(piece.len - missingBytes);
      // A file that does not fit begins a batch, so that its GETs are as few as if it were alone.
      if (first && batch.bytes + target.len > batchBytesMax) yield* flush();
      first = false;
      for (const wanted of missing) {
        for (let rest = granulesOf(wanted); rest.count > 0;) {
          const count = granulesThatFit(batch, { piece, rest, batchBytesMax });
          if (count === 0) {
            yield* flush();
            continue;
          }
          const taken = pieceOf(piece, { first: rest.first, count });
          batch.pieces.push(taken);
          batch.bytes += taken.len;
          batch.slabs += count;
          rest = { first: rest.first + count, count: rest.count - count };
        }
      }
    }
  }
  yield* flush();
}

function granulesThatFit(
  batch: OpenBatch,
  { piece, rest, batchBytesMax }: { piece: PagePiece; rest: GranuleSpan; batchBytesMax: number },
): number {
  const empty = batch.pieces.length === 0;
  const roomBytes = batchBytesMax - batch.bytes;
  const roomSlabs = batchBytesMax / GRANULE_BYTES - batch.slabs;
  const fits = Math.min(rest.count, roomSlabs, Math.floor(roomBytes / GRANULE_BYTES));
  if (spanBytes(piece.filePage.page, rest) <= roomBytes && rest.count <= roomSlabs) return rest.count;
  if (piece.filePage.whole) return empty ? rest.count : 0;
  return empty ? Math.max(1, fits) : fits;
}
