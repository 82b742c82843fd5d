// Read-ahead over separate reads: notices readers that go through a file in order, also several at once in one file, and
// brings what comes next into the cache, behind demand. A reader that jumps about gets none.
import type { ByteRange } from '../base/byte-range.ts';
import { KIB, MIB } from '../base/units.ts';
import type { PageCache } from '../cache/page-cache.ts';
import type { ExhaustedBudget } from '../objectstore/object-store.ts';
import type { Load, Loader } from './loader.ts';
import { missingOf } from './batches.ts';
import { piecesOf, type FilePages } from './pages.ts';
import type { PlanLimits } from './plan.ts';

export interface ReadAheadDeps {
  readonly loader: Loader;
  readonly cache: PageCache;
  readonly exhausted: () => ExhaustedBudget | undefined;
  readonly plan: PlanLimits;
}

/** One reader, as its reads show it. */
interface Track {
  /** Where its next read begins, if it goes on in order. */
  nextOff: number;
  /** Reads in order so far. */
  streak: number;
  windowBytes: number;
  /** Fetched ahead, or known to be there, up to here. */
  aheadTo: number;
  busy: boolean;
  /** Of its last read, counted over all files. */
  lastRead: number;
}

const TRACKS_PER_FILE_MAX = 16;
/** A reader may skip so much (padding, a header) and still be in order. */
const SKIP_BYTES_MAX = 8 * KIB;
/**
 * A reader in order comes back before so many other reads, of whatever file. Without a bound the pages of a small file that
 * are read in a shuffled order, epoch after epoch, look like many readers: each page is some time read after the one before.
 */
const READS_BETWEEN_MAX = 32;
const STREAK_MIN = 3;
const WINDOW_BYTES_MIN = 2 * MIB;
const WINDOW_BYTES_MAX = 64 * MIB;
/** Of the tickets, for one reader. */
const WINDOW_SHARE = 0.125;

export class ReadAhead {
  readonly #deps: ReadAheadDeps;
  readonly #windowBytesMax: number;
  /** Least recently used first. */
  readonly #tracks = new WeakMap<FilePages, Track[]>();
  readonly #loads = new Set<Load>();
  #closed = false;
  #reads = 0;

  constructor(deps: ReadAheadDeps) {
    this.#deps = deps;
    this.#windowBytesMax = Math.min(WINDOW_BYTES_MAX, deps.loader.ticketBytesMax * WINDOW_SHARE);
  }

  /**
   * A reader asks for the range now. Returns at once; the function that it returns is told whether the read had to wait
   * for the store.
   */
  note(file: FilePages, range: ByteRange): (starved: boolean) => void {
    const end = range.off + range.len;
    if (end === file.entry.sizeBytes && range.off === 0) return () => undefined;
    const track = this.#trackOf(file, range);
    track.nextOff = end;
    if (track.streak < STREAK_MIN) return () => undefined;
    this.#extend(file, track);
    return (starved) => {
      if (!starved) return;
      track.windowBytes = Math.min(this.#windowBytesMax, track.windowBytes * 2);
      this.#extend(file, track);
    };
  }

  close(): void {
    this.#closed = true;
    for (const load of this.#loads) load.close();
  }

  #trackOf(file: FilePages, { off, len }: ByteRange): Track {
    let tracks = this.#tracks.get(file);
    if (!tracks) this.#tracks.set(file, (tracks = []));
    this.#reads += 1;
    const index = tracks.findLastIndex(
      (track) =>
        off >= track.nextOff &&
        off - track.nextOff <= SKIP_BYTES_MAX &&
        this.#reads - track.lastRead <= READS_BETWEEN_MAX,
    );
    const known = index < 0 ? undefined : tracks.splice(index, 1)[0];
    if (known) known.streak += 1;
    const windowBytes = Math.min(this.#windowBytesMax, Math.max(WINDOW_BYTES_MIN, 2 * len));
    const track = known ?? { nextOff: 0, streak: 0, windowBytes, aheadTo: off + len, busy: false, lastRead: 0 };
    track.lastRead = this.#reads;
    tracks.push(track);
    if (tracks.length > TRACKS_PER_FILE_MAX) tracks.shift();
    return track;
  }

  /** Asks for the rest of the window once half of it is used up. */
  #extend(file: FilePages, track: Track): void {
    const from = Math.max(track.aheadTo, track.nextOff);
    const to = Math.min(file.entry.sizeBytes, track.nextOff + track.windowBytes);
    const isDue = to - from >= track.windowBytes / 2 || (to === file.entry.sizeBytes && to > from);
    if (track.busy || this.#closed || !isDue) return;
    track.busy = true;
    void this.#extendTo(file, track, { off: from, len: to - from });
  }

  async #extendTo(file: FilePages, track: Track, range: ByteRange): Promise<void> {
    const outcome = await this.#fetch(file, range);
    track.busy = false;
    if (outcome === 'refused') track.windowBytes = Math.max(WINDOW_BYTES_MIN, track.windowBytes / 2);
    else track.aheadTo = Math.max(track.aheadTo, range.off + range.len);
  }

  /** Resolves when the bytes are on their way. A failure is left to the demand read that will meet it. */
  async #fetch(file: FilePages, range: ByteRange): Promise<'begun' | 'refused'> {
    const { loader, cache, exhausted, plan } = this.#deps;
    if (exhausted()) return 'refused';
    try {
      const pieces = [];
      for (const piece of piecesOf(file, range)) pieces.push(...(await missingOf(cache, piece)));
      if (pieces.length === 0) return 'begun';
      // Else the reader would fetch it once more.
      if (!pieces.every(({ filePage }) => cache.keepsAhead(filePage.page))) return 'refused';
      const load = await loader.load(pieces, { lane: 'speculation', refusable: true, plan });
      if (!load) return 'refused';
      void this.#land(load);
      return 'begun';
    } catch {
      return 'refused';
    }
  }

  async #land(load: Load): Promise<void> {
    this.#loads.add(load);
    try {
      if (this.#closed) return;
      for (const source of load.pieces) {
        for (let slab = await source.next(); slab; slab = await source.next()) slab.release();
      }
    } catch {
      // The demand read that comes for these bytes reports what is wrong.
    } finally {
      this.#loads.delete(load);
      load.close();
    }
  }
}
