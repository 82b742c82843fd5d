// Every bound of the server in one place, and which setting it is. docs/blob-api.md lists exactly these; a test holds
// them together.
import type { ResolvedSettings } from '../config/config.ts';
import { SETTINGS, type SettingKey } from '../config/schema.ts';

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

/** The key of the configuration that each bound is, which also has its default. */
export const LIMIT_SETTINGS = {
  headerBytesMax: 'api.max_header_kib',
  urlBytesMax: 'api.max_url_kib',
  bodyBytesMax: 'api.max_body_mib',
  extentsMax: 'api.max_extents',
  responseBytesMax: 'api.max_readv_mib',
  rangesMax: 'api.max_ranges',
  connectionsMax: 'api.max_connections',
  requestsMax: 'api.max_requests',
  requestsPerClientMax: 'api.max_client_requests',
  headMsMax: 'api.header_timeout_ms',
  bodyMsMax: 'api.body_timeout_ms',
  idleMsMax: 'api.idle_timeout_ms',
  writeStallMsMax: 'api.write_timeout_ms',
  writeStallUnderPressureMsMax: 'api.pressed_write_timeout_ms',
  headAgeMsMax: 'api.max_head_age_ms',
  openVersionsMax: 'api.max_open_versions',
} as const satisfies Readonly<Record<keyof Limits, SettingKey>>;

/** The bounds that these settings make; what nobody set has its default. */
export function limitsOf(settings: ResolvedSettings): Limits {
  const limits: Record<string, number> = {};
  for (const [name, key] of Object.entries(LIMIT_SETTINGS)) {
    limits[name] = (settings.get(key)?.value as number | undefined) ?? SETTINGS[key].default;
  }
  return limits as unknown as Limits;
}

export const DEFAULT_LIMITS: Limits = limitsOf(new Map());
