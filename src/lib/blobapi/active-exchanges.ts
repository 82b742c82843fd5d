// The exchanges that are under way, for the server and for slow-clients.ts. Not a Set: one as old as the server makes its
// table anew for every few that leave it, and in V8's old generation. At 45,000 requests a second that was 10 MB a second
// and a full collection, with 10 ms in which nothing is answered, every second or two.
import type { Exchange } from './exchange.ts';

export class ActiveExchanges implements Iterable<Exchange> {
  /** In no order; what is behind `size` is empty. As long as the most that were ever under way at once. */
  readonly #exchanges: (Exchange | undefined)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(exchange: Exchange): void {
    exchange.place = this.#size;
    this.#exchanges[this.#size] = exchange;
    this.#size += 1;
  }

  /** Of one that was added. */
  remove(exchange: Exchange): void {
    this.#size -= 1;
    const last = this.#exchanges[this.#size]!;
    this.#exchanges[exchange.place] = last;
    last.place = exchange.place;
    this.#exchanges[this.#size] = undefined;
  }

  /** Those of now: whoever takes them may remove some. */
  [Symbol.iterator](): Iterator<Exchange> {
    return (this.#exchanges.slice(0, this.#size) as Exchange[])[Symbol.iterator]();
  }
}
