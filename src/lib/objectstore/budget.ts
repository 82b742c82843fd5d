// The decorator that spends the GET budget: every GET passes the gate, and a store that throttles slows the gate down.
// Inside the retry decorator, so that a GET that is sent again is paid again.
import { isSeekfsError } from '../base/errors.ts';
import { ForwardingObjectStore } from './forwarding.ts';
import type { AdmitRequest, GetGate } from './get-gate.ts';
import type {
  GetRangeRequest,
  GetWholeRequest,
  ObjectHead,
  ObjectStore,
  RangeSink,
  WholeObject,
} from './object-store.ts';

export class BudgetedObjectStore extends ForwardingObjectStore {
  readonly #gate: GetGate;

  constructor(inner: ObjectStore, gate: GetGate) {
    super(inner);
    this.#gate = gate;
  }

  override getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    const { lane = 'demand', promotion, signal } = request;
    return this.#spend({ lane, promotion, signal }, () => this.inner.getRange(request, sink));
  }

  override getWhole(request: GetWholeRequest): Promise<WholeObject> {
    return this.#spend({ lane: 'demand', signal: request.signal }, () => this.inner.getWhole(request));
  }

  override close(): Promise<void> {
    this.#gate.close();
    return this.inner.close();
  }

  async #spend<T>(request: AdmitRequest, send: () => Promise<T>): Promise<T> {
    const done = await this.#gate.admit(request);
    try {
      return await send();
    } catch (error) {
      if (isSeekfsError(error, 'store_throttled')) this.#gate.throttled();
      throw error;
    } finally {
      done();
    }
  }
}
