// `auto`: begins as `retain` (right for the epochs of one data set, and it writes least) and changes to the policy that
// would hit more. What each would hit is measured, not guessed: each runs in miniature over a sample of the pages.
// When the readers have moved on to other data, it begins anew and lets go of what nobody has read since.
import { Lru } from './lru.ts';
import { MiniCache } from './mini-cache.ts';
import { mix } from './page-hash.ts';
import type { Fullness, Policy } from './policy.ts';
import { Retain } from './retain.ts';
import { S3Fifo } from './s3fifo.ts';

/** Pages that a miniature stores at most: the sample is thinned until they fit. */
const MINI_PAGES_MAX = 1024;
/** A period is this many reads a page of a miniature: an epoch, where the cache holds half of the data. */
const PERIOD_READS_PER_PAGE = 2;
const PERIOD_READS_MIN = 128;
/** The best must lead by this share of the reads, beyond what chance gives. */
const LEAD_SHARE_MIN = 0.01;
/** Fewer hits than this share of a window's reads are no hits. A window is as many reads as pages are stored. */
const NO_HITS_SHARE = 0.0005;
const WINDOW_READS_MIN = 64;
/** When it begins anew it makes room in its memory for so many pages a stored one. */
const PAGES_PER_RESIDENT = 4;

interface Contender {
  readonly policy: Policy;
  readonly mini: MiniCache;
  /** Of the periods so far, each counting half of the next. */
  hits: number;
}

export class Auto implements Policy {
  #lru = new Lru();
  #retain = contender(new Retain(), () => new Retain());
  #contenders = this.#enter();
  #current = this.#retain;
  /** One in this many pages is sampled; a power of two. */
  #scale = 1;
  /** Pages that a miniature may store; 0 until the cache is full for the first time. */
  #miniCapacity = 0;
  #periodReads = 0;
  #reads = 0;
  #residentPages = 0;
  /** Of the data that the readers left behind, about: room for others, although the cache is full. */
  #stalePages = 0;
  /** Counts the uses, as `#lru` does. */
  #tick = 0;
  /** At the end of the last window with hits. */
  #lastHitsTick = 0;
  #windowReads = 0;
  #hits = 0;
  /** Misses of pages that were read since. */
  #missesAgain = 0;

  use(key: number, found: boolean): void {
    const lastUse = this.#lru.lastUse(key);
    if (found) this.#hits += 1;
    else if (lastUse > this.#lastHitsTick) this.#missesAgain += 1;
    if (found && lastUse === 0 && this.#stalePages > 0) this.#stalePages -= 1;
    for (const { policy } of this.#contenders) policy.use(key, found);
    this.#tick += 1;
    if (this.#miniCapacity === 0) return;
    if (this.#samples(key)) this.#compare(key);
    this.#windowReads += 1;
    if (this.#windowReads >= Math.max(WINDOW_READS_MIN, this.#residentPages)) this.#look();
  }

  admits(key: number, state: Fullness): boolean {
    if (!state.full) return true;
    this.#scaleTo(state.residentPages);
    return this.#stalePages > 0 || this.#current.policy.admits(key, state);
  }

  score(key: number): number {
    return this.#stalePages > 0 && this.#lru.lastUse(key) === 0 ? 0 : this.#current.policy.score(key);
  }

  store(key: number, stored: boolean): void {
    if (stored && this.#stalePages > 0) this.#stalePages -= 1;
    for (const { policy } of this.#contenders) policy.store(key, stored);
  }

  #samples(key: number): boolean {
    return (mix(key, 11) & (this.#scale - 1)) === 0;
  }

  #scaleTo(residentPages: number): void {
    if (residentPages > this.#scale * MINI_PAGES_MAX) {
      while (residentPages > this.#scale * MINI_PAGES_MAX) this.#scale *= 2;
      for (const { mini } of this.#contenders) mini.filter((key) => this.#samples(key));
    }
    this.#residentPages = residentPages;
    this.#miniCapacity = Math.max(1, Math.round(residentPages / this.#scale));
  }

  #compare(key: number): void {
    for (const each of this.#contenders) if (each.mini.read(key, this.#miniCapacity)) each.hits += 1;
    this.#reads += 1;
    this.#periodReads += 1;
    if (this.#periodReads < Math.max(PERIOD_READS_MIN, this.#miniCapacity * PERIOD_READS_PER_PAGE)) return;
    const best = this.#contenders.reduce((a, b) => (b.hits > a.hits ? b : a));
    const leadMin = this.#reads * LEAD_SHARE_MIN + Math.sqrt(this.#reads);
    if (best.hits - this.#current.hits > leadMin) {
      if (best === this.#retain) {
        // In miniature it began empty; to hit as much it must let go of what is stored and not read.
        this.#beginAnew();
        return;
      }
      this.#current = best;
    }
    // What `retain` would hit depends on what it happens to hold: where it loses, it gets another chance to begin.
    if (best.hits - this.#retain.hits > leadMin) this.#retain.mini.restart();
    for (const each of this.#contenders) each.hits /= 2;
    this.#reads /= 2;
    this.#periodReads = 0;
  }

  /** At the end of a window: are the readers still among what is stored? */
  #look(): void {
    if (this.#hits > this.#windowReads * NO_HITS_SHARE) {
      this.#lastHitsTick = this.#tick;
    } else if (this.#missesAgain > this.#windowReads / 2) {
      // A scan finds nothing either, but it does not come back for the same pages.
      this.#beginAnew();
    }
    this.#hits = this.#missesAgain = this.#windowReads = 0;
  }

  #beginAnew(): void {
    this.#lru = new Lru(this.#residentPages * PAGES_PER_RESIDENT);
    this.#retain = contender(new Retain(), () => new Retain());
    this.#contenders = this.#enter();
    this.#current = this.#retain;
    this.#reads = this.#periodReads = 0;
    this.#tick = this.#lastHitsTick = 0;
    this.#stalePages = this.#residentPages;
  }

  #enter(): readonly Contender[] {
    return [this.#retain, contender(new S3Fifo(), () => new S3Fifo()), contender(this.#lru, () => new Lru())];
  }
}

function contender(policy: Policy, create: () => Policy): Contender {
  return { policy, mini: new MiniCache(create), hits: 0 };
}
