// Counts the requests that go to a store, one by one as they are sent, so that the figures are those of the bill.
import type { Cell, Metrics } from '../base/metrics.ts';

export type Purpose = 'file' | 'meta';

export class RequestCounter {
  readonly #gets: Cell;
  readonly #getBytes: Cell;
  readonly #metaGets: Cell;
  readonly #heads: Cell;
  readonly #lists: Cell;
  readonly #puts: Cell;
  readonly #deletes: Cell;

  constructor(metrics: Metrics) {
    this.#gets = metrics.cell('seekfs_store_gets_total');
    this.#getBytes = metrics.cell('seekfs_store_get_bytes_total');
    this.#metaGets = metrics.cell('seekfs_store_meta_gets_total');
    this.#heads = metrics.cell('seekfs_store_heads_total');
    this.#lists = metrics.cell('seekfs_store_lists_total');
    this.#puts = metrics.cell('seekfs_store_puts_total');
    this.#deletes = metrics.cell('seekfs_store_deletes_total');
  }

  get(purpose: Purpose): void {
    (purpose === 'file' ? this.#gets : this.#metaGets).value += 1;
  }

  /** Bytes of a body as they arrive. */
  bytes(purpose: Purpose, arrivedBytes: number): void {
    if (purpose === 'file') this.#getBytes.value += arrivedBytes;
  }

  head(): void {
    this.#heads.value += 1;
  }

  list(): void {
    this.#lists.value += 1;
  }

  put(): void {
    this.#puts.value += 1;
  }

  delete(): void {
    this.#deletes.value += 1;
  }
}
