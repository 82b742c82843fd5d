// Many small answers as one: extents in request order, planned together in windows that fit the memory, so that
// neighbours share GETs wherever they stand in the request. Long extents are streams.
import type { ByteRange } from '../base/byte-range.ts';
import { abortError, throwIfAborted } from '../base/errors.ts';
import type { Lane, Slab } from '../base/memory.ts';
import { MIB } from '../base/units.ts';
import { GRANULE_BYTES } from '../page/page.ts';
import type { LoadSize } from './load-size.ts';
import type { Load, Loader } from './loader.ts';
import { piecesOf, type FilePages, type PagePiece } from './pages.ts';
import type { PlanLimits } from './plan.ts';
import { streamRange, type StreamDeps, type StreamOptions } from './stream.ts';

export interface ReadvDeps extends StreamDeps {
  readonly plan: PlanLimits;
}

/** An extent that is inside its file. */
export interface FileExtent extends ByteRange {
  readonly file: FilePages;
}

const STREAM_BYTES_MIN = 16 * MIB;
/** Of the tickets: one call may take most of the memory, for 1,000 random extents to be one plan, but not all of it. */
const WINDOW_SHARE = 0.75;
/** Small files share slabs, but what is remembered of each is not small. */
const WINDOW_PIECES_MAX = 16_384;
/** Of pieces that come in the order of their objects: neighbours stand together, and a longer window saves little. */
const ORDERED_PIECES_MAX = 2048;

interface Window {
  readonly kind: 'window';
  readonly pieces: readonly PagePiece[];
  readonly size: LoadSize;
}

type Step = Window | { readonly kind: 'stream'; readonly extent: FileExtent };

/** Whether pieces come in the order of their objects, each object once. */
class ObjectOrder {
  readonly #seen = new Set<string>();
  #key: string | undefined;
  #off = 0;
  isBroken = false;

  add({ filePage, off }: PagePiece): void {
    const { storageKey } = filePage.file;
    const objectOff = filePage.objectOff + off;
    if (storageKey === this.#key ? objectOff < this.#off : this.#seen.has(storageKey)) this.isBroken = true;
    if (storageKey !== this.#key) this.#seen.add(storageKey);
    this.#key = storageKey;
    this.#off = objectOff;
  }
}

/** The request cut into steps, in order: windows of at most that many slabs, and streams. */
async function* stepsOf(
  loader: Loader,
  extents: Iterable<FileExtent>,
  { lane, windowSlabs }: { lane: Lane; windowSlabs: number },
): AsyncGenerator<Step, void, undefined> {
  let pieces: PagePiece[] = [];
  let size = loader.newSize(lane);
  let order = new ObjectOrder();
  const flush = (): Step => {
    const step: Step = { kind: 'window', pieces, size };
    pieces = [];
    size = loader.newSize(lane);
    order = new ObjectOrder();
    return step;
  };
  for (const extent of extents) {
    if (extent.len >= Math.min(STREAM_BYTES_MIN, (windowSlabs * GRANULE_BYTES) / 2)) {
      if (pieces.length > 0) yield flush();
      yield { kind: 'stream', extent };
      continue;
    }
    for (const piece of piecesOf(extent.file, extent)) {
      const piecesMax = order.isBroken ? WINDOW_PIECES_MAX : ORDERED_PIECES_MAX;
      let fits = pieces.length < piecesMax && size.add(piece, windowSlabs);
      if (fits instanceof Promise) fits = await fits;
      if (!fits) {
        yield flush();
        await size.add(piece);
      }
      pieces.push(piece);
      order.add(piece);
    }
  }
  if (pieces.length > 0) yield flush();
}

/** Bytes of the extents in order, concatenated. The consumer owns each slab. */
export async function* readExtents(
  deps: ReadvDeps,
  extents: Iterable<FileExtent>,
  options: StreamOptions,
): AsyncGenerator<Slab, void, undefined> {
  const { signal, lane } = options;
  const windowSlabs = Math.max(1, Math.floor((deps.loader.ticketBytesMax / GRANULE_BYTES) * WINDOW_SHARE));
  const steps = stepsOf(deps.loader, extents, { lane, windowSlabs });
  const open = new Set<Load>();
  const onAbort = (): void => {
    for (const load of open) load.close();
  };
  const begin = async ({ pieces, size }: Window, refusable: boolean): Promise<Load | undefined> => {
    const load = await deps.loader.load(pieces, { lane, refusable, plan: deps.plan, size, signal });
    if (!load) return undefined;
    open.add(load);
    if (!signal?.aborted) return load;
    throw abortError(signal);
  };
  throwIfAborted(signal);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    let step = await steps.next();
    let early: Load | undefined;
    while (!step.done) {
      const current = step.value;
      if (current.kind === 'stream') {
        yield* streamRange(deps, current.extent.file, current.extent, options);
        step = await steps.next();
        continue;
      }
      const load: Load = early ?? (await begin(current, false))!;
      step = await steps.next();
      // The next window fetches while this one is consumed, if there is memory for both.
      early = !step.done && step.value.kind === 'window' ? await begin(step.value, true) : undefined;
      for (const piece of load.pieces) {
        for (let slab = await piece.next(); slab; slab = await piece.next()) yield slab;
        throwIfAborted(signal);
        piece.close();
      }
      open.delete(load);
      load.close();
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    for (const load of open) load.close();
  }
}
