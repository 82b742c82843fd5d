// The [api] rows of the table of settings (schema.ts): where `seekfs serve` listens, whose pages may ask, and every bound
// on what clients send and take. The bounds are of each worker.
import { KIB, MIB } from '../base/units.ts';

const DAY_MS = 86_400_000;

function count<const Name extends string>(name: Name, standard: number, doc: string, min = 1) {
  return { kind: 'count', min, max: 1_000_000, default: standard, env: `SEEKFS_API_${name}`, doc } as const;
}

function milliseconds<const Name extends string>(name: Name, standard: number, doc: string) {
  return { ...count(name, standard, doc), max: DAY_MS } as const;
}

function size<const Name extends string>(
  name: Name,
  sizes: { unitBytes: number; default: number; max: number },
  doc: string,
) {
  return { kind: 'size', min: KIB, ...sizes, env: `SEEKFS_API_${name}`, doc } as const;
}

export const API_SETTINGS = {
  'api.listen': {
    kind: 'text',
    default: '127.0.0.1:7070',
    env: 'SEEKFS_LISTEN',
    doc: 'address and port of `seekfs serve`; a host that is not loopback wants tokens or `--insecure`',
  },
  'api.cors_origins': {
    kind: 'text',
    env: 'SEEKFS_API_CORS_ORIGINS',
    defaultText: 'none',
    doc: 'origins whose pages may read answers in a browser, separated by commas; `*` for all, which wants tokens',
  },
  'api.max_header_kib': size(
    'MAX_HEADER_KIB',
    { unitBytes: KIB, default: 16 * KIB, max: MIB },
    'request line and header fields; more is 431',
  ),
  'api.max_url_kib': size(
    'MAX_URL_KIB',
    { unitBytes: KIB, default: 8 * KIB, max: MIB },
    'the request target; more is 414',
  ),
  'api.max_body_mib': size(
    'MAX_BODY_MIB',
    { unitBytes: MIB, default: 4 * MIB, max: 1024 * MIB },
    'a request’s body; more is 413',
  ),
  'api.max_extents': count('MAX_EXTENTS', 16_384, 'extents of a readv, ranges of a hint; more is 413'),
  'api.max_readv_mib': size(
    'MAX_READV_MIB',
    { unitBytes: MIB, default: 256 * MIB, max: 1024 * 1024 * MIB },
    'the answer of an unframed readv; more is 413',
  ),
  'api.max_ranges': count('MAX_RANGES', 64, 'ranges of one `Range`; more is 416'),
  'api.max_connections': count('MAX_CONNECTIONS', 20_000, 'open connections; more are closed at once'),
  'api.max_requests': count('MAX_REQUESTS', 4096, 'requests answered at once; more is 503'),
  'api.max_client_requests': count(
    'MAX_CLIENT_REQUESTS',
    1024,
    'requests of one client address that are answered at once; more is 429',
  ),
  'api.header_timeout_ms': milliseconds(
    'HEADER_TIMEOUT_MS',
    15_000,
    'from a request’s first byte to the end of its header; later is 408',
  ),
  'api.body_timeout_ms': milliseconds(
    'BODY_TIMEOUT_MS',
    60_000,
    'from a request’s first byte to the end of its body; later is 408',
  ),
  'api.idle_timeout_ms': milliseconds('IDLE_TIMEOUT_MS', 65_000, 'a connection without a request is closed'),
  'api.write_timeout_ms': milliseconds(
    'WRITE_TIMEOUT_MS',
    30_000,
    'a client that takes nothing for so long is broken off',
  ),
  'api.pressed_write_timeout_ms': milliseconds(
    'PRESSED_WRITE_TIMEOUT_MS',
    5000,
    'as `api.write_timeout_ms` while reads wait for memory; the longest first',
  ),
  'api.max_head_age_ms': count('MAX_HEAD_AGE_MS', 1000, 'age of the HEAD that a request without a version gets', 0),
  'api.max_open_versions': count('MAX_OPEN_VERSIONS', 64, 'versions that stay open'),
} as const;
