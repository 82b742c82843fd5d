// Single-flight between the processes of a host: sorts flights into those that this process may fetch and those that
// another one is fetching already, and waits for the latter. Holds no claim while it waits, other than for flights whose
// requests have begun. Used by the fetcher.
import { SeekfsError, wrapSystemError } from '../base/errors.ts';
import type { Claims } from '../cache/claims.ts';
import type { PageCache } from '../cache/page-cache.ts';
import type { Flight } from './flight.ts';

/**
 * Longer spans claim their page: large fetches take few claims, and small reads do not wait for each other. A page's
 * claim does not look for claims of its granules, so a large fetch may bring what a small one is bringing just now.
 */
const GRANULE_CLAIMS_MAX = 4;

interface Foreign {
  readonly name: string;
  readonly generation: number;
}

/** Claims by name: one of the whole page, or one for each granule. */
function namesOf(flight: Flight): { readonly own: readonly string[]; readonly page: string; readonly whole: boolean } {
  const { filePage, span } = flight;
  const page = filePage.key;
  const whole = filePage.whole || span.count > GRANULE_CLAIMS_MAX;
  const own = whole ? [page] : Array.from({ length: span.count }, (_, index) => `${page} ${span.first + index}`);
  return { own, page, whole };
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
   * Calls `fetch` with the flights that are this process's to fetch, at once with those that are free and later with
   * those that another process gave up; it must make each of them end. Flights that another process brings end as
   * `cached`. Resolves when nothing is left to wait for.
   */
  async run(
    flights: readonly Flight[],
    fetch: (flights: readonly Flight[]) => void,
    closing: AbortSignal,
  ): Promise<void> {
    const taken: Flight[] = [];
    const waiting: { readonly flight: Flight; readonly foreign: Foreign }[] = [];
    await Promise.all(
      flights.map(async (flight) => {
        const foreign = await this.#take(flight, new Map());
        if (foreign) waiting.push({ flight, foreign });
        else taken.push(flight);
      }),
    );
    const order = new Map(flights.map((flight, index) => [flight, index]));
    taken.sort((a, b) => order.get(a)! - order.get(b)!);
    const mine = await this.#stillMissing(taken);
    if (mine.length > 0) fetch(mine);
    await Promise.all(waiting.map(({ flight, foreign }) => this.#await(flight, foreign, fetch, closing)));
  }

  /** Takes all claims of the flight, or none and says which one another process has. */
  async #take(flight: Flight, from: Map<string, number>): Promise<Foreign | undefined> {
    const { own, page, whole } = namesOf(flight);
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
    if (!whole && from.size === 0 && (await this.#claims.isTaken(page))) {
      release();
      return { name: page, generation: 0 };
    }
    flight.onWritten = release;
    return undefined;
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
        if (!foreign && flight.ended) flight.onWritten?.();
      }
      if (flight.ended) return;
      const mine = await this.#stillMissing([flight]);
      if (mine.length > 0) fetch(mine);
    } catch (error) {
      flight.end({ kind: 'failed', error: wrapSystemError(error, 'wait for another process') });
    }
  }

  /** Those of the flights that no other process brought between the look that missed them and the claim. */
  async #stillMissing(flights: readonly Flight[]): Promise<Flight[]> {
    if (flights.length > 0 && !(await this.#claims.alone())) await this.#cache.refresh();
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
