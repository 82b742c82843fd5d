// Admits GETs: so many a second, so many bytes a second, so many at once, so many a day; demand before speculation. When
// the store asks to slow down the rate is halved and grows back. Knows nothing of what the GETs are for.
import type { Clock } from '../base/clock.ts';
import { SeekfsError, abortError } from '../base/errors.ts';
import type { Lane } from '../base/memory.ts';
import type { Cell, Metrics } from '../base/metrics.ts';
import { onAbort } from '../base/on-abort.ts';
import type { ExhaustedBudget } from './object-store.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import { formatBytes } from '../base/units.ts';

const DAY_MS = 86_400_000;
const DEADLINE_MS_DEFAULT = 60_000;
const RATE_MIN = 1;
/** Where the budget is unlimited and the store throttles all the same. */
const RATE_AFTER_UNLIMITED = 128;
/** Halvings come no closer than this: one burst of refusals is one sign. */
const HALVING_INTERVAL_MS = 1000;
/** The rate is back at the configured one after so long without throttling. */
const RECOVERY_MS = 30_000;

export interface GetGateOptions {
  /** Infinity: no limit. */
  readonly getsPerSecond: number;
  readonly inflightMax: number;
  readonly getsPerDayMax?: number | undefined;
  /** Undefined: no limit. */
  readonly bytesPerSecond?: number | undefined;
  /** A demand GET that waited so long is refused; speculation waits for as long as its caller does. */
  readonly deadlineMs?: number | undefined;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

export interface AdmitRequest {
  readonly lane: Lane;
  /** How many the answer will have, as far as is known. */
  readonly bytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly promotion?: AbortSignal | undefined;
}

/** Call when the GET is over, once; with the bytes that arrived they are what the budget pays for. */
export type GetIsOver = (arrivedBytes?: number) => void;

interface Waiter {
  /** In the demand lane. */
  sinceMs: number;
  readonly bytes: number;
  readonly grant: () => void;
  readonly refuse: (error: SeekfsError) => void;
}

export class GetGate {
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #bucket: TokenBucket;
  /** May be in debt: a GET goes while there is anything left, and what comes after it waits until it is paid. */
  readonly #bytes: TokenBucket | undefined;
  readonly #rateMax: number;
  readonly #inflightMax: number;
  readonly #getsPerDayMax: number;
  readonly #deadlineMs: number;
  readonly #waiting: Readonly<Record<Lane, Set<Waiter>>> = { demand: new Set(), speculation: new Set() };
  readonly #cells: Readonly<Record<Lane | 'inflight' | 'rate', Cell>>;
  #inflight = 0;
  /** When `#timer` goes off; Infinity where there is none. */
  #wakesAtMs = Infinity;
  #timer = new AbortController();
  #closed = false;
  #halvedAtMs = -Infinity;
  #recoveredAtMs = 0;
  #day = { number: -1, gets: 0 };

  constructor(options: GetGateOptions) {
    this.#clock = options.clock;
    this.#metrics = options.metrics;
    this.#rateMax = options.getsPerSecond;
    this.#inflightMax = Math.max(1, options.inflightMax);
    this.#getsPerDayMax = options.getsPerDayMax ?? Infinity;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS_DEFAULT;
    const burst = Math.min(options.getsPerSecond, Number.MAX_SAFE_INTEGER);
    this.#bucket = new TokenBucket({ ratePerS: options.getsPerSecond, burst, clock: options.clock });
    const { bytesPerSecond } = options;
    this.#bytes =
      bytesPerSecond === undefined
        ? undefined
        : new TokenBucket({ ratePerS: bytesPerSecond, burst: bytesPerSecond, clock: options.clock });
    this.#cells = {
      inflight: this.#metrics.cell('seekfs_store_inflight_gets'),
      rate: this.#metrics.cell('seekfs_store_get_rate_limit'),
      demand: this.#metrics.cell('seekfs_store_waiting_gets', { lane: 'demand' }),
      speculation: this.#metrics.cell('seekfs_store_waiting_gets', { lane: 'speculation' }),
    };
    this.#show();
  }

  /** What the next GET would have to wait for, but for the cap of those at once. */
  get exhausted(): ExhaustedBudget | undefined {
    if (this.#bytes && this.#bytes.delayMs() > 0) return 'bytes';
    return this.#bucket.delayMs() > 0 || this.#dayIsSpent() ? 'gets' : undefined;
  }

  /**
   * Resolves when the GET may be sent.
   * @throws store_throttled after the deadline or at the day's ceiling; interrupted
   */
  admit(request: AdmitRequest): Promise<GetIsOver> {
    const { signal, promotion, bytes = 0 } = request;
    if (signal?.aborted) return Promise.reject(abortError(signal));
    let lane: Lane = promotion?.aborted ? 'demand' : request.lane;
    const admitted = new Promise<GetIsOver>((resolve, reject) => {
      const leave = (): void => {
        this.#waiting[lane].delete(waiter);
        signal?.removeEventListener('abort', cancel);
        promotion?.removeEventListener('abort', onPromotion);
        this.#show();
      };
      const waiter: Waiter = {
        sinceMs: this.#clock.monotonicMs(),
        bytes,
        grant: () => {
          leave();
          resolve(this.#end(bytes));
        },
        refuse: (error) => {
          leave();
          reject(error);
        },
      };
      const cancel = (): void => waiter.refuse(abortError(signal!));
      const onPromotion = (): void => {
        this.#waiting[lane].delete(waiter);
        lane = 'demand';
        waiter.sinceMs = this.#clock.monotonicMs();
        this.#waiting[lane].add(waiter);
        this.#pump();
      };
      if (signal) onAbort(signal, cancel);
      if (promotion && lane === 'speculation') onAbort(promotion, onPromotion);
      this.#waiting[lane].add(waiter);
    });
    this.#pump();
    return admitted;
  }

  /** As `admit` for a GET that is not needed: undefined where it would wait, or while the store wants fewer GETs. */
  tryAdmit(bytes: number): GetIsOver | undefined {
    const isThrottled = this.#clock.monotonicMs() - this.#halvedAtMs < RECOVERY_MS;
    if (isThrottled || this.#next() || this.#inflight >= this.#inflightMax || this.exhausted) return undefined;
    if (!this.#bucket.tryTake()) return undefined;
    this.#begin(bytes);
    this.#show();
    return this.#end(bytes);
  }

  #begin(bytes: number): void {
    this.#bytes?.spend(bytes);
    this.#inflight += 1;
    this.#day.gets += 1;
  }

  #end(bytes: number): GetIsOver {
    let over = false;
    return (arrivedBytes) => {
      if (over) return;
      over = true;
      this.#inflight -= 1;
      if (arrivedBytes !== undefined) this.#bytes?.spend(arrivedBytes - bytes);
      this.#pump();
    };
  }

  /** The store asked to slow down. */
  throttled(): void {
    this.#metrics.add('seekfs_store_throttled_total');
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#halvedAtMs < HALVING_INTERVAL_MS) return;
    this.#halvedAtMs = nowMs;
    this.#recoveredAtMs = nowMs;
    const rate = this.#bucket.ratePerS;
    this.#bucket.ratePerS = Math.max(RATE_MIN, rate === Infinity ? RATE_AFTER_UNLIMITED : rate / 2);
    this.#bucket.drain();
    this.#show();
  }

  /** Refuses what still waits. */
  close(): void {
    this.#closed = true;
    this.#timer.abort();
    const error = new SeekfsError('interrupted', 'the store was closed while a GET waited for its turn');
    for (const waiter of [...this.#waiting.demand, ...this.#waiting.speculation]) waiter.refuse(error);
  }

  #pump(): void {
    this.#recover();
    this.#refuseLate();
    for (let next = this.#next(); next && this.#inflight < this.#inflightMax; next = this.#next()) {
      if (this.#dayIsSpent()) {
        // Shortly before midnight the wait may be worth it.
        if (this.#nextDayInMs() < this.#deadlineMs) break;
        next.refuse(this.#refusal(`the ceiling of ${this.#getsPerDayMax} GETs a day is reached`));
        continue;
      }
      if ((this.#bytes && this.#bytes.delayMs() > 0) || !this.#bucket.tryTake()) break;
      this.#begin(next.bytes);
      next.grant();
    }
    this.#show();
    if (this.#next()) this.#pumpLater();
  }

  #next(): Waiter | undefined {
    for (const waiter of this.#waiting.demand) return waiter;
    for (const waiter of this.#waiting.speculation) return waiter;
    return undefined;
  }

  /**
   * One timer for all: until the next token, or the next deadline where only the cap is in the way. What was to wait for
   * the cap may have to wait for a token by now, which comes sooner.
   */
  #pumpLater(): void {
    if (this.#closed) return;
    const nowMs = this.#clock.monotonicMs();
    const isCapped = this.#inflight >= this.#inflightMax;
    let delayMs = isCapped ? this.#deadlineMs : Math.max(this.#bucket.delayMs(), this.#bytes?.delayMs() ?? 0);
    if (this.#dayIsSpent()) delayMs = Math.max(delayMs, this.#nextDayInMs());
    for (const { sinceMs } of this.#waiting.demand) {
      delayMs = Math.min(delayMs, sinceMs + this.#deadlineMs - nowMs);
      break;
    }
    delayMs = Math.max(1, Math.ceil(delayMs));
    // The same moment, seen later, differs by what was rounded.
    if (nowMs + delayMs > this.#wakesAtMs - 1) return;
    this.#timer.abort();
    const timer = (this.#timer = new AbortController());
    this.#wakesAtMs = nowMs + delayMs;
    const wake = (): void => {
      this.#wakesAtMs = Infinity;
      this.#pump();
    };
    void this.#clock.sleep(delayMs, timer.signal).then(wake, () => undefined);
  }

  #refuseLate(): void {
    const beforeMs = this.#clock.monotonicMs() - this.#deadlineMs;
    for (const waiter of this.#waiting.demand) {
      if (waiter.sinceMs > beforeMs) break;
      waiter.refuse(this.#refusal(`a GET waited ${this.#deadlineMs} ms for its turn`));
    }
  }

  #refusal(why: string): SeekfsError {
    this.#metrics.add('seekfs_store_refused_total');
    const bytes = this.#bytes ? `, ${formatBytes(this.#bytes.ratePerS)} a second` : '';
    const limits = `${this.#bucket.ratePerS.toFixed(0)} GETs a second${bytes}, ${this.#inflightMax} at once`;
    return new SeekfsError('store_throttled', `${why}; the budget allows ${limits}`, { retryable: false });
  }

  #nextDayInMs(): number {
    return DAY_MS - (this.#clock.nowMs() % DAY_MS);
  }

  #dayIsSpent(): boolean {
    if (this.#getsPerDayMax === Infinity) return false;
    const number = Math.floor(this.#clock.nowMs() / DAY_MS);
    if (number > this.#day.number) this.#day = { number, gets: 0 };
    // A clock that is set back over midnight, and forth again, brings no new day; one that was quite wrong no free one.
    else if (number < this.#day.number - 1) this.#day.number = number;
    return this.#day.gets >= this.#getsPerDayMax;
  }

  #recover(): void {
    if (this.#bucket.ratePerS >= this.#rateMax) return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#halvedAtMs >= RECOVERY_MS) {
      this.#bucket.ratePerS = this.#rateMax;
    } else if (this.#rateMax !== Infinity) {
      const gained = ((nowMs - this.#recoveredAtMs) / RECOVERY_MS) * this.#rateMax;
      this.#bucket.ratePerS = Math.min(this.#rateMax, this.#bucket.ratePerS + gained);
    }
    this.#recoveredAtMs = nowMs;
  }

  #show(): void {
    const rate = this.#bucket.ratePerS;
    this.#cells.inflight.value = this.#inflight;
    this.#cells.rate.value = rate === Infinity ? 0 : rate;
    this.#cells.demand.value = this.#waiting.demand.size;
    this.#cells.speculation.value = this.#waiting.speculation.size;
  }
}
