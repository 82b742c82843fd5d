// The contract of a retention policy of one namespace: it sees uses of pages and answers what to write and what to keep.
// Pure decisions on 32-bit page hashes, bounded memory, no I/O and no clock but the uses themselves.

/** How a namespace's pages are kept: see the files of the same names; `auto` picks one of the others as it goes. */
export type RetentionName = 'auto' | 'retain' | 's3fifo' | 'lru';

export interface Fullness {
  /** Storing one more page would need an eviction. */
  readonly full: boolean;
  /** Pages that are stored now, of all namespaces; a rough number will do. */
  readonly residentPages: number;
}

export interface Policy {
  /** One use of a page, found or not. */
  use(key: number, found: boolean): void;
  /** Whether a page that was missed should be written. */
  admits(key: number, state: Fullness): boolean;
  /** Above 0: worth writing again when its segment goes. Higher is hotter; only comparable within one policy. */
  score(key: number): number;
  /** The page is stored from now on, or no more. */
  store(key: number, stored: boolean): void;
}
