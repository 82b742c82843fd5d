// Every bound of the server in one place, with its default. docs/blob-api.md lists exactly these; a test holds them together.
import { KIB, MIB } from '../base/units.ts';

export interface Limits {
  /** Request line and header fields together; more is 431. */
  readonly headerBytesMax: number;
  /** The request target; more is 414. */
  readonly urlBytesMax: number;
  /** A request's body; more is 413. */
  readonly bodyBytesMax: number;
  /** Extents of one POST /readv, ranges of one POST /hints; more is 413. */
  readonly extentsMax: number;
  /** An unframed POST /readv; more is 413. */
  readonly responseBytesMax: number;
  /** Ranges of one Range header; more is 416. */
  readonly rangesMax: number;
  /** Open connections of a worker; more are closed at once. */
  readonly connectionsMax: number;
  /** Requests that a worker answers at once; more is 503. */
  readonly requestsMax: number;
  /** Requests of one client address that a worker answers at once; more is 429. */
  readonly requestsPerClientMax: number;
  /** From the first byte of a request to the end of its head; later is 408. */
  readonly headMsMax: number;
  /** From the first byte of a request to the end of its body; later is 408. */
  readonly bodyMsMax: number;
  /** A connection without a request is closed after this. */
  readonly idleMsMax: number;
  /** A client that takes nothing for so long is broken off. */
  readonly writeStallMsMax: number;
  /** When demand waits for memory, a client that took nothing for so long is broken off, the longest first. */
  readonly writeStallUnderPressureMsMax: number;
  /** How old the HEAD may be that a request without a version gets. */
  readonly headAgeMsMax: number;
  /** Versions that stay open. */
  readonly openVersionsMax: number;
}

export const DEFAULT_LIMITS: Limits = {
  headerBytesMax: 16 * KIB,
  urlBytesMax: 8 * KIB,
  bodyBytesMax: 4 * MIB,
  extentsMax: 16_384,
  responseBytesMax: 256 * MIB,
  rangesMax: 64,
  connectionsMax: 20_000,
  requestsMax: 4096,
  requestsPerClientMax: 1024,
  headMsMax: 15_000,
  bodyMsMax: 60_000,
  idleMsMax: 65_000,
  writeStallMsMax: 30_000,
  writeStallUnderPressureMsMax: 5000,
  headAgeMsMax: 1000,
  openVersionsMax: 64,
};
