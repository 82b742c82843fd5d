// The decorator that sends a slow demand GET a second time: when the head of its answer is later than all but 2 % of
// them were of late. Whose answer begins first is taken, the other is broken off. Inside the budget, which pays for the
// second one too if it can do so at once, and never while the store asks to slow down.
import type { Clock } from '../base/clock.ts';
import { isSeekfsError, SeekfsError } from '../base/errors.ts';
import type { Cell, Metrics } from '../base/metrics.ts';
import { ForwardingObjectStore } from './forwarding.ts';
import type { GetGate } from './get-gate.ts';
import { HedgeBudget, LatencyQuantile } from './hedge-policy.ts';
import type { GetRangeRequest, ObjectHead, ObjectStore, RangeSink } from './object-store.ts';

const HEDGED_SHARE = 0.02;
const SAMPLES_MIN = 100;
const SAVED_MAX = 10;
/** Sooner than this a second GET is not faster than the first. */
const DELAY_MS_MIN = 5;

export class HedgedObjectStore extends ForwardingObjectStore {
  readonly #gate: GetGate;
  readonly #clock: Clock;
  readonly #latency = new LatencyQuantile({ share: 1 - HEDGED_SHARE, samplesMin: SAMPLES_MIN });
  readonly #budget = new HedgeBudget({ share: HEDGED_SHARE, savedMax: SAVED_MAX });
  readonly #sent: Cell;
  readonly #won: Cell;

  constructor(inner: ObjectStore, deps: { readonly gate: GetGate; readonly clock: Clock; readonly metrics: Metrics }) {
    super(inner);
    this.#gate = deps.gate;
    this.#clock = deps.clock;
    this.#sent = deps.metrics.cell('seekfs_store_hedges_total');
    this.#won = deps.metrics.cell('seekfs_store_hedges_won_total');
  }

  override getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    if (request.lane === 'speculation' && !request.promotion) return this.inner.getRange(request, sink);
    return this.#hedge(request, sink);
  }

  async #hedge(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    const { lane = 'demand', promotion, signal } = request;
    const begun = new AbortController();
    /** Each breaks off one of the GETs; the first one is the first GET's. */
    const stops: AbortController[] = [];
    let winner: AbortController | undefined;
    const send = (): Promise<ObjectHead> => {
      const sentAtMs = this.#clock.monotonicMs();
      const stop = new AbortController();
      stops.push(stop);
      const onHead = (head: ObjectHead): void => {
        if (winner) throw lost();
        winner = stop;
        begun.abort();
        this.#latency.observe(this.#clock.monotonicMs() - sentAtMs);
        if (stop !== stops[0]) this.#won.value += 1;
        for (const other of stops) if (other !== stop) other.abort(lost());
        request.onHead?.(head);
      };
      const write = (chunk: Uint8Array): void | Promise<void> => {
        if (winner !== stop) throw lost();
        return sink.write(chunk);
      };
      const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
      return this.inner.getRange({ ...request, signal: either, onHead }, { write });
    };
    const first = send();
    let second: Promise<ObjectHead> | undefined;
    const isDemand = (): boolean => lane === 'demand' || promotion?.aborted === true;
    const delayMs = this.#latency.ms;
    if (delayMs !== undefined && !winner) {
      const onDelay = (): void => {
        if (!winner && isDemand()) second = this.#second(request, send);
      };
      void this.#clock.sleep(Math.max(DELAY_MS_MIN, delayMs), begun.signal).then(onDelay, () => undefined);
    }
    let head: ObjectHead;
    try {
      head = await first;
    } catch (error) {
      begun.abort();
      if (!second || winner === stops[0]) throw error;
      if (!winner && !mayStillSucceed(error)) {
        stops[1]?.abort(lost());
        throw error;
      }
      head = await second;
    }
    if (isDemand()) this.#budget.earn();
    return head;
  }

  #second(request: GetRangeRequest, send: () => Promise<ObjectHead>): Promise<ObjectHead> | undefined {
    if (!this.#budget.isThere) return undefined;
    const over = this.#gate.tryAdmit(request.range.len);
    if (!over) return undefined;
    this.#budget.take();
    this.#sent.value += 1;
    const done = send();
    const onEnd = (error?: unknown): void => {
      if (isSeekfsError(error, 'store_throttled')) this.#gate.throttled();
      // The bytes that are taken are paid for by the first GET, whoever brings them.
      over(0);
    };
    done.then(() => onEnd(), onEnd);
    return done;
  }
}

function lost(): SeekfsError {
  return new SeekfsError('interrupted', 'another GET of the same range was faster');
}

/** Whether the other GET is worth waiting for: not where the store said no, or asked to slow down. */
function mayStillSucceed(error: unknown): boolean {
  return isSeekfsError(error) && error.retryable && error.code !== 'store_throttled';
}
