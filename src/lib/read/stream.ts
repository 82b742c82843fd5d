// One sequential answer: a range of one file, slab by slab, with a window of loads under way ahead of the consumer.
// The window grows while the consumer starves and shrinks where memory is refused.
import { abortError, throwIfAborted } from '../base/errors.ts';
import { LoopTurns } from '../base/loop-turns.ts';
import type { Lane, Slab } from '../base/memory.ts';
import { KIB, MIB } from '../base/units.ts';
import type { ByteRange } from '../base/byte-range.ts';
import type { PageCache } from '../cache/page-cache.ts';
import { GRANULE_BYTES } from '../page/page.ts';
import type { Load, Loader } from './loader.ts';
import { ChainedSource } from './piece.ts';
import { piecesOf, type FilePages, type PagePiece } from './pages.ts';

export interface StreamDeps {
  readonly loader: Loader;
  readonly cache: PageCache;
  /** A cold stream is split into GETs of this size, several at once. */
  readonly getBytes: number;
}

export interface StreamOptions {
  readonly lane: Lane;
  readonly signal?: AbortSignal | undefined;
  /** Told at the first wait for the store. */
  readonly onStarved?: ((starved: boolean) => void) | undefined;
}

/** What is read from L2 in one go: large enough that the system call is cheap, small enough to stay ahead of a pipe. */
const WARM_CHUNK_BYTES = 2 * MIB;
/** Six GETs of 8 MiB under way beside the one that is read: more was no faster on loopback and only cost memory. */
const WINDOW_MAX = 6;
const SMALL_BYTES_MAX = MIB;
/** Read, checked and handed over while it is in the core's own cache: with 128 KiB and with 512 KiB it is slower. */
const INLINE_STEP_BYTES = 256 * KIB;
/** After so many of them a stream gives way to others: 0.3 ms with their way into the socket. */
const INLINE_TURN_BYTES = 512 * KIB;
/** Of all streams of this event loop. */
const TURNS = new LoopTurns({ stepsPerTurn: 4 });

function wholeGranules(bytes: number): number {
  return Math.max(GRANULE_BYTES, Math.floor(bytes / GRANULE_BYTES) * GRANULE_BYTES);
}

/** Where the chunk that begins at `off` ends: short where the cache has the page, a whole GET where it has not. */
async function chunkEnd(deps: StreamDeps, file: FilePages, chunk: { off: number; end: number }): Promise<number> {
  const { off, end } = chunk;
  const { page } = file.page(file.indexAt(off));
  const presence = deps.cache.presence(page);
  const { complete } = presence instanceof Promise ? await presence : presence;
  const warmBytes = wholeGranules(Math.min(WARM_CHUNK_BYTES, deps.loader.ticketBytesMax / 8));
  if (complete) return Math.min(end, page.off + page.len, off + warmBytes);
  const getBytes = wholeGranules(Math.min(deps.getBytes, deps.loader.ticketBytesMax / 8));
  const stop = Math.min(end, (Math.floor(off / getBytes) + 1) * getBytes);
  const last = file.page(file.indexAt(stop - 1));
  return last.whole ? Math.min(end, last.page.off + last.page.len) : stop;
}

/** The only piece of a small range within one page. */
export function smallPiece(file: FilePages, range: ByteRange): PagePiece | undefined {
  if (range.len > SMALL_BYTES_MAX) return undefined;
  const filePage = file.page(file.indexAt(range.off));
  const off = range.off - filePage.page.off;
  return off + range.len <= filePage.page.len ? { filePage, off, len: range.len } : undefined;
}

/** What is read at `off` in one step of an inline stream. */
function inlinePiece(file: FilePages, { off, end }: { off: number; end: number }): PagePiece {
  const filePage = file.page(file.indexAt(off));
  const { page } = filePage;
  const from = off - page.off;
  const stop = Math.min(end - page.off, page.len, from - (from % INLINE_STEP_BYTES) + INLINE_STEP_BYTES);
  return { filePage, off: from, len: stop - from };
}

/** GETs that would begin in the part [off, stop) of the range if nothing were cached; the range may begin within one. */
function getsBegun(part: { off: number; stop: number }, range: ByteRange, getBytes: number): number {
  const begun = Math.ceil(part.stop / getBytes) - Math.ceil(part.off / getBytes);
  return part.off === range.off && part.off % getBytes > 0 ? begun + 1 : begun;
}

/** `range` is inside the file. The consumer owns each slab; leaving the loop stops what is under way. */
export async function* streamRange(
  deps: StreamDeps,
  file: FilePages,
  range: ByteRange,
  options: StreamOptions,
): AsyncGenerator<Slab, void, undefined> {
  const { signal } = options;
  const small = smallPiece(file, range);
  throwIfAborted(signal);
  const cached = small && (await deps.loader.tryCached(small, { signal }));
  yield* cached ? each(cached) : streamLoads(deps, file, { range, from: range.off }, options);
}

/** As `streamRange`, for `Reader.streamInline`. */
export async function* streamInline(
  deps: StreamDeps,
  file: FilePages,
  range: ByteRange,
  options: StreamOptions,
): AsyncGenerator<readonly Slab[], void, undefined> {
  const { signal } = options;
  const getBytes = Math.max(deps.getBytes, GRANULE_BYTES);
  const small = smallPiece(file, range);
  const end = range.off + range.len;
  let off = range.off;
  let lastTurnOff = off;
  // Where one step takes a disk, the rest is better read by several threads, ahead.
  for (let isInMemory = true; isInMemory && off < end;) {
    if (off - lastTurnOff >= INLINE_TURN_BYTES) {
      lastTurnOff = off;
      await TURNS.next();
    }
    throwIfAborted(signal);
    const piece = small ?? inlinePiece(file, { off, end });
    const getsUncached = small ? 1 : getsBegun({ off, stop: off + piece.len }, range, getBytes);
    const promised = deps.loader.tryCached(piece, { signal, getsUncached });
    isInMemory = !(promised instanceof Promise);
    const cached = await promised;
    if (!cached) break;
    off += piece.len;
    yield cached;
  }
  if (off === end) return;
  for await (const slab of streamLoads(deps, file, { range, from: off }, options)) yield [slab];
}

function* each(slabs: readonly Slab[]): Generator<Slab, void, undefined> {
  let next = 0;
  try {
    while (next < slabs.length) yield slabs[next++]!;
  } finally {
    for (const slab of slabs.slice(next)) slab.release();
  }
}

async function* streamLoads(
  deps: StreamDeps,
  file: FilePages,
  { range, from }: { readonly range: ByteRange; readonly from: number },
  options: StreamOptions,
): AsyncGenerator<Slab, void, undefined> {
  const { signal, lane } = options;
  const end = range.off + range.len;
  const open: { readonly load: Load; readonly slabs: ChainedSource }[] = [];
  let planned = from;
  let window = 2;
  const plan = { getBytesMax: Math.max(deps.getBytes, GRANULE_BYTES), gapBytesMax: 0 };
  /** Where the load that begins at `off` stops, or undefined where it was refused. */
  const begin = async (off: number, refusable: boolean): Promise<number | undefined> => {
    const stop = await chunkEnd(deps, file, { off, end });
    const pieces = piecesOf(file, { off, len: stop - off });
    const getsUncached = getsBegun({ off, stop }, range, plan.getBytesMax);
    const load = await deps.loader.load(pieces, { lane, refusable, plan, getsUncached, signal });
    if (!load) return undefined;
    if (signal?.aborted) {
      load.close();
      throw abortError(signal);
    }
    open.push({ load, slabs: new ChainedSource(load.pieces) });
    return stop;
  };
  const onAbort = (): void => {
    for (const { load } of open) load.close();
  };
  throwIfAborted(signal);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    while (planned < end || open.length > 0) {
      if (open.length === 0) planned = (await begin(planned, false))!;
      let refused = false;
      while (open.length <= window && planned < end) {
        const stop = await begin(planned, true);
        if (stop === undefined) {
          window = Math.max(1, window >> 1);
          refused = true;
          break;
        }
        planned = stop;
      }
      const head = open[0]!;
      if (!head.slabs.ready && head.load.cold) {
        const isWider = window < WINDOW_MAX;
        window = Math.min(WINDOW_MAX, window * 2);
        options.onStarved?.(true);
        // What it has room for now is sent before the wait, not after the first GET has ended.
        if (isWider && !refused && planned < end) continue;
      }
      for (let slab = await head.slabs.next(); slab; slab = await head.slabs.next()) yield slab;
      throwIfAborted(signal);
      head.load.close();
      open.shift();
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    for (const { load } of open) load.close();
  }
}
