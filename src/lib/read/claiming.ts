// Single-flight between the processes of a host: sorts flights into those that this process may fetch and those that
// another one is fetching already, and waits for the latter. Holds no claim while it waits, other than for flights whose
// requests have begun. Used by the fetcher.
import { createHash } from 'node:crypto';
import { abortError, SeekfsError, wrapSystemError } from '../base/errors.ts';
import type { Claims } from '../cache/claims.ts';
import type { PageCache } from '../cache/page-cache.ts';
import type { Flight } from './flight.ts';
import type { FilePage } from './pages.ts';

/**
 * Longer spans claim their page: large fetches take few claims, and small reads do not wait for each other. A page's
 * claim does not look for claims of its granules, so a large fetch may bring what a small one is bringing just now.
 */
const GRANULE_CLAIMS_MAX = 4;
/**
 * Few enough that their claims take some milliseconds; and what has its claims waits for its turn as a whole GET with its
 * promises and signals. More at once, or the next while these are sent, made a long cold readv slower.
 */
const ROUND_FLIGHTS = 32;

interface Foreign {
  readonly name: string;
  readonly generation: number;
}

/** Of pages that were claimed before: they are so for each GET. */
const pageNames = new WeakMap<FilePage, string>();

function pageNameOf(filePage: FilePage): string {
  const known = pageNames.get(filePage);
  if (known) return known;
  const name = createHash('sha256').update(filePage.key).digest('hex').slice(0, 32);
  pageNames.set(filePage, name);
  return name;
}

/** Claims by name: one of the whole page, or one for each granule. */
function namesOf(flight: Flight): { readonly own: readonly string[]; readonly page: string; readonly whole: boolean } {
  const { filePage, span } = flight;
  const page = pageNameOf(filePage);
  const whole = filePage.whole || span.count > GRANULE_CLAIMS_MAX;
  const own = whole ? [page] : Array.from({ length: span.count }, (_, index) => `${page}-${span.first + index}`);
  return { own, page, whole };
}

/** What claims are taken for at once: whole GETs, each of which has a flight at least. */
function* roundsOf(gets: readonly (readonly Flight[])[]): Generator<Flight[], void, undefined> {
  let round: Flight[] = [];
  for (const flights of gets) {
    round.push(...flights);
    if (round.length < ROUND_FLIGHTS) continue;
    yield round;
    round = [];
  }
  if (round.length > 0) yield round;
}

export function abandoned(): SeekfsError {
  return new SeekfsError('interrupted', 'nobody waits for the bytes');
}

export class Claiming {
  readonly #claims: Claims;
  readonly #cache: PageCache;

  constructor(claims: Claims, cache: PageCache) {
    this.#claims = claims;
    this.#cache = cache;
  }

  /**
   * Calls `fetch` with the flights that are this process's to fetch, round by round with those that are free and later with
   * those that another process gave up; it must make each of them end. Flights that another process brings end as
   * `cached`. Resolves when nothing is left to wait for.
   * @param gets the flights of each planned GET: they come to `fetch` together as far as they are free
   */
  async run(
    gets: readonly (readonly Flight[])[],
    fetch: (flights: readonly Flight[]) => void,
    closing: AbortSignal,
  ): Promise<void> {
    const waiting: Promise<void>[] = [];
    // The requests of the first need not wait until the last of thousands has its claim.
    for (const flights of roundsOf(gets)) {
      const round = flights.filter((flight) => !this.#endIfUnwanted(flight, closing));
      const foreign = await Promise.all(round.map((flight) => this.#take(flight, new Map())));
      if (!(await this.#claims.alone())) {
        const takenPage = async (flight: Flight, index: number): Promise<void> => {
          foreign[index] ??= await this.#yieldToPage(flight);
        };
        await Promise.all(round.map(takenPage));
        await this.#cache.refresh();
      }
      const mine = await this.#stillMissing(round.filter((_, index) => !foreign[index]));
      if (mine.length > 0) fetch(mine);
      for (const [index, flight] of round.entries()) {
        if (foreign[index]) waiting.push(this.#await(flight, foreign[index], fetch, closing));
      }
    }
    await Promise.all(waiting);
  }

  /** Takes all claims of the flight, or none and says which one another process has. */
  async #take(flight: Flight, from: Map<string, number>): Promise<Foreign | undefined> {
    const { own } = namesOf(flight);
    const releases: (() => void)[] = [];
    const release = (): void => {
      for (const one of releases) one();
    };
    for (const name of own) {
      const answer = await this.#claims.take(name, from.get(name));
      if (answer.kind === 'foreign') {
        release();
        return { name, generation: answer.generation };
      }
      releases.push(answer.release);
    }
    flight.onWritten = release;
    return undefined;
  }

  /** For a flight that has its claims: gives them back where another process has that of the whole page. */
  async #yieldToPage(flight: Flight): Promise<Foreign | undefined> {
    const { page, whole } = namesOf(flight);
    if (whole || !(await this.#claims.isTaken(page))) return undefined;
    flight.onWritten?.();
    flight.onWritten = undefined;
    return { name: page, generation: 0 };
  }

  async #await(
    flight: Flight,
    first: Foreign,
    fetch: (flights: readonly Flight[]) => void,
    closing: AbortSignal,
  ): Promise<void> {
    const left = new AbortController();
    const signal = AbortSignal.any([left.signal, closing]);
    const from = new Map<string, number>();
    flight.onAbandoned = (): void => {
      flight.end({ kind: 'failed', error: abandoned() });
      left.abort();
    };
    if (flight.abandoned) flight.onAbandoned();
    try {
      for (let foreign: Foreign | undefined = first; foreign && !flight.ended;) {
        const outcome = await this.#claims.wait(foreign.name, foreign.generation, signal);
        // From here on another claim of the same name is begun above that of the owner that was given up.
        if (outcome === 'given-up') from.set(foreign.name, foreign.generation + 1);
        else from.delete(foreign.name);
        await this.#cache.refresh();
        if (flight.ended || (await this.#endIfCached(flight))) return;
        foreign = await this.#take(flight, from);
        if (!foreign && from.size === 0) foreign = await this.#yieldToPage(flight);
        if (!foreign && flight.ended) flight.onWritten?.();
      }
      if (flight.ended) return;
      if (!(await this.#claims.alone())) await this.#cache.refresh();
      const mine = await this.#stillMissing([flight]);
      if (mine.length > 0) fetch(mine);
    } catch (error) {
      flight.end({ kind: 'failed', error: wrapSystemError(error, 'wait for another process') });
    }
  }

  #endIfUnwanted(flight: Flight, closing: AbortSignal): boolean {
    if (closing.aborted) flight.end({ kind: 'failed', error: abortError(closing) });
    else if (flight.abandoned) flight.end({ kind: 'failed', error: abandoned() });
    return flight.ended;
  }

  /** Those of the flights that no other process brought between the look that missed them and the claim. */
  async #stillMissing(flights: readonly Flight[]): Promise<Flight[]> {
    const missing: Flight[] = [];
    for (const flight of flights) {
      if (flight.abandoned) flight.end({ kind: 'failed', error: abandoned() });
      if (flight.ended) flight.onWritten?.();
      else if (!(await this.#endIfCached(flight))) missing.push(flight);
    }
    return missing;
  }

  async #endIfCached(flight: Flight): Promise<boolean> {
    const presence = await this.#cache.presence(flight.filePage.page);
    const { first, count } = flight.span;
    for (let granule = first; granule < first + count; granule += 1) if (!presence.has(granule)) return false;
    flight.end({ kind: 'cached' });
    return true;
  }
}
