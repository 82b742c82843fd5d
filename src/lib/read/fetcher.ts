// Brings flights in: plans the GETs, and pours the responses into the
// flights' slabs, one copy. A GET that nobody waits for any more is aborted. Used by the loader only.
import { abortError, SeekfsError, throwIfAborted, wrapSystemError } from '../base/errors.ts';
import type { Lane } from '../base/memory.ts';
import type { Cell } from '../base/metrics.ts';
import type { ObjectStore } from '../objectstore/object-store.ts';
import { abandoned, type Claiming } from './claiming.ts';
import type { Flight } from './flight.ts';
import { planGets, type PlanLimits, type PlannedGet } from './plan.ts';

export interface FetcherDeps {
  /** Undefined: nobody else uses the cache, or there is none. */
  readonly claiming?: Claiming | undefined;
  readonly store: () => Promise<ObjectStore>;
  /** Counts GETs that coalescing saved: one for each run of granules beyond the first of a GET. */
  readonly coalesced: Cell;
}

interface Batch {
  readonly flights: readonly Flight[];
  readonly lane: Lane;
  readonly limits: PlanLimits;
  /** Without regard to other processes: what they brought could not be read. */
  readonly unclaimed: boolean;
}

/** A reason of its own would be made, with its stack, for each GET. */
const PROMOTED = new SeekfsError('interrupted', 'a demand read waits for it');
/** Of all GETs that a demand read waits for from the start: a signal costs as much as the rest of what is set up for one. */
const PROMOTED_ALREADY = AbortSignal.abort(PROMOTED);

function planned({ flights, limits }: Batch): PlannedGet<Flight>[] {
  return planGets(flights, { ...limits, atomic: true });
}

export class Fetcher {
  readonly #deps: FetcherDeps;
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #aborts = new Set<(reason: SeekfsError) => void>();

  constructor(deps: FetcherDeps) {
    this.#deps = deps;
  }

  /** Every flight ends, sooner or later, without anybody's help. */
  start(batch: Batch): void {
    const { claiming } = this.#deps;
    if (!claiming || batch.unclaimed) {
      this.#fetch(batch);
      return;
    }
    const fetch = (flights: readonly Flight[]): void => this.#fetch({ ...batch, flights });
    const gets = planned(batch).map(({ parts }) => parts.map((part) => part.want));
    this.#run(claiming.run(gets, fetch, this.#closing.signal), batch.flights);
  }

  #fetch(batch: Batch): void {
    for (const get of planned(batch)) {
      const flights = get.parts.map((part) => part.want);
      this.#deps.coalesced.value += flights.length - 1;
      this.#run(this.#get(get, flights, batch.lane), flights);
    }
  }

  /** Keeps an eye on the work until it is done. It ends its flights itself; a defect must not leave them in the air. */
  #run(work: Promise<void>, flights: readonly Flight[]): void {
    const guarded = async (): Promise<void> => {
      try {
        await work;
      } catch (error) {
        for (const flight of flights) flight.end({ kind: 'failed', error: wrapSystemError(error, 'fetch') });
      } finally {
        this.#running.delete(running);
      }
    };
    const running = guarded();
    this.#running.add(running);
  }

  /** Ends all flights and resolves when no engine touches their memory any more. */
  async close(): Promise<void> {
    const reason = new SeekfsError('interrupted', 'the reader was closed');
    this.#closing.abort(reason);
    for (const abort of this.#aborts) abort(reason);
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #get(get: PlannedGet, flights: readonly Flight[], lane: Lane): Promise<void> {
    const controller = new AbortController();
    const promotion = flights.some(({ demand }) => demand) ? undefined : new AbortController();
    const endAll = (error: SeekfsError): void => {
      for (const flight of flights) flight.end({ kind: 'failed', error });
    };
    const abort = (reason: SeekfsError): void => {
      // First the flights: nobody may join one whose request is dying.
      endAll(reason);
      controller.abort(reason);
    };
    this.#aborts.add(abort);
    for (const flight of flights) {
      flight.onAbandoned = (): void => {
        if (flights.every((other) => other.ended || other.listeners === 0)) {
          abort(abandoned());
        }
      };
      if (promotion) flight.onDemand = (): void => promotion.abort(PROMOTED);
    }
    if (flights.every((flight) => flight.abandoned)) abort(abandoned());
    if (this.#closing.signal.aborted) abort(abortError(this.#closing.signal));
    try {
      throwIfAborted(controller.signal);
      const store = await this.#deps.store();
      const signals = { signal: controller.signal, promotion: promotion?.signal ?? PROMOTED_ALREADY };
      await this.#request(store, { get, flights, lane, ...signals });
      // Not made, with its stack, for each GET.
      if (flights.some((flight) => !flight.ended)) {
        const { storageKey } = flights[0]!.filePage.file;
        endAll(new SeekfsError('store_unavailable', `the store sent less of ${storageKey} than asked for`));
      }
    } catch (error) {
      endAll(wrapSystemError(error, `fetch ${flights[0]!.filePage.file.storageKey}`));
    } finally {
      this.#aborts.delete(abort);
    }
  }

  async #request(
    store: ObjectStore,
    request: { get: PlannedGet; flights: readonly Flight[]; lane: Lane; signal: AbortSignal; promotion: AbortSignal },
  ): Promise<void> {
    const { get, flights, lane, signal, promotion } = request;
    const { file } = flights[0]!.filePage;
    let position = get.objectOff;
    let firstOpen = 0;
    const head = await store.getRange(
      {
        key: file.storageKey,
        range: { off: get.objectOff, len: get.objectEnd - get.objectOff },
        ifMatch: file.etag,
        purpose: 'file',
        lane,
        signal,
        promotion,
      },
      {
        write: (chunk) => {
          const chunkOff = position;
          position += chunk.length;
          while (firstOpen < flights.length && flights[firstOpen]!.ended) firstOpen += 1;
          for (let index = firstOpen; index < flights.length; index += 1) {
            const flight = flights[index]!;
            if (flight.objectOff >= position) break;
            flight.fill(chunk, chunkOff);
          }
        },
      },
    );
    for (const flight of flights) flight.filePage.file.pinEtag(head.etag);
  }
}
