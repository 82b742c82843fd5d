// The decorator that spends the GET budget: every GET passes the gate and pays for the bytes that it brought, and a store
// that throttles slows the gate down.
// Inside the retry decorator, so that a GET that is sent again is paid again.
import { isSeekfsError } from '../base/errors.ts';
import { ForwardingObjectStore } from './forwarding.ts';
import type { AdmitRequest, GetGate } from './get-gate.ts';
import type {
  ExhaustedBudget,
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

  override get exhausted(): ExhaustedBudget | undefined {
    return this.#gate.exhausted;
  }

  override getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    const { lane = 'demand', promotion, signal, range } = request;
    let arrivedBytes = 0;
    const write = (chunk: Uint8Array): void | Promise<void> => {
      arrivedBytes += chunk.byteLength;
      return sink.write(chunk);
    };
    const admission = { lane, promotion, signal, bytes: range.len };
    return this.#spend(
      admission,
      () => arrivedBytes,
      () => this.inner.getRange(request, { write }),
    );
  }

  override getWhole(request: GetWholeRequest): Promise<WholeObject> {
    let arrivedBytes = 0;
    return this.#spend(
      { lane: 'demand', signal: request.signal },
      () => arrivedBytes,
      async () => {
        const object = await this.inner.getWhole(request);
        arrivedBytes = object.sizeBytes;
        return object;
      },
    );
  }

  override close(): Promise<void> {
    this.#gate.close();
    return this.inner.close();
  }

  async #spend<T>(request: AdmitRequest, arrivedBytes: () => number, send: () => Promise<T>): Promise<T> {
    const done = await this.#gate.admit(request);
    try {
      return await send();
    } catch (error) {
      if (isSeekfsError(error, 'store_throttled')) this.#gate.throttled();
      throw error;
    } finally {
      done(arrivedBytes());
    }
  }
}
