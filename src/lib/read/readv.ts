// Many small answers as one: extents in request order, planned together in windows that fit the memory, so that
// neighbours share GETs wherever they stand in the request. Long extents are streams.
import type { ByteRange } from '../base/byte-range.ts';
import { abortError, throwIfAborted } from '../base/errors.ts';
import type { Slab } from '../base/memory.ts';
import { MIB } from '../base/units.ts';
import { GRANULE_BYTES, granuleCount, granulesOf } from '../page/page.ts';
import type { Load } from './loader.ts';
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

type Step =
  | { readonly kind: 'window'; readonly pieces: readonly PagePiece[] }
  | { readonly kind: 'stream'; readonly extent: FileExtent };

/** The request cut into steps, in order: windows of at most that many slabs, and streams. */
function* stepsOf(extents: Iterable<FileExtent>, windowSlabs: number): Generator<Step, void, undefined> {
  let pieces: PagePiece[] = [];
  let slabs = 0;
  for (const extent of extents) {
    if (extent.len >= Math.min(STREAM_BYTES_MIN, (windowSlabs * GRANULE_BYTES) / 2)) {
      if (pieces.length > 0) yield { kind: 'window', pieces };
      pieces = [];
      slabs = 0;
      yield { kind: 'stream', extent };
      continue;
    }
    for (const piece of piecesOf(extent.file, extent)) {
      const { page, whole } = piece.filePage;
      const held = whole ? granuleCount(page) : granulesOf(piece).count;
      if (pieces.length > 0 && slabs + held > windowSlabs) {
        yield { kind: 'window', pieces };
        pieces = [];
        slabs = 0;
      }
      pieces.push(piece);
      slabs += held;
    }
  }
  if (pieces.length > 0) yield { kind: 'window', pieces };
}

/** Bytes of the extents in order, concatenated. The consumer owns each slab. */
export async function* readExtents(
  deps: ReadvDeps,
  extents: Iterable<FileExtent>,
  options: StreamOptions,
): AsyncGenerator<Slab, void, undefined> {
  const { signal, lane } = options;
  const windowSlabs = Math.max(1, Math.floor((deps.loader.ticketBytesMax / GRANULE_BYTES) * WINDOW_SHARE));
  const steps = stepsOf(extents, windowSlabs);
  const open = new Set<Load>();
  const onAbort = (): void => {
    for (const load of open) load.close();
  };
  const begin = async (pieces: readonly PagePiece[], refusable: boolean): Promise<Load | undefined> => {
    const load = await deps.loader.load(pieces, { lane, refusable, plan: deps.plan, signal });
    if (!load) return undefined;
    open.add(load);
    if (!signal?.aborted) return load;
    throw abortError(signal);
  };
  throwIfAborted(signal);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    let step = steps.next();
    let early: Load | undefined;
    while (!step.done) {
      const current = step.value;
      if (current.kind === 'stream') {
        yield* streamRange(deps, current.extent.file, current.extent, options);
        step = steps.next();
        continue;
      }
      const load: Load = early ?? (await begin(current.pieces, false))!;
      step = steps.next();
      // The next window fetches while this one is consumed, if there is memory for both.
      early = !step.done && step.value.kind === 'window' ? await begin(step.value.pieces, true) : undefined;
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
