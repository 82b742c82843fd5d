// Turns what an S3 store answered, or how the network failed, into the errors of the contract. Pure; used by the engines
// `sdk` and `undici`, which see the same facts through different clients.
import { SeekfsError, systemErrorCode, type ErrorCode } from '../base/errors.ts';
import { objectChanged, preconditionFailed } from './source.ts';

export interface S3Context {
  /** "get", "put", …: what was tried. */
  readonly doing: string;
  readonly key?: string | undefined;
  readonly bucket: string;
  /** The store's address, for messages. */
  readonly endpoint: string;
  /** That of the proxy before it. */
  readonly proxy?: string | undefined;
  /** The condition that the request carried. */
  readonly condition?:
    { readonly kind: 'read' | 'match'; readonly etag: string } | { readonly kind: 'absent' } | undefined;
}

export interface S3Failure {
  readonly status: number;
  /** The `<Code>` of the answer; empty where there is none (a head request, an HTML page). */
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

interface Verdict {
  readonly code: ErrorCode;
  readonly retryable?: boolean;
  readonly advice?: string;
}

/** By S3's own code, whatever the status. */
const BY_CODE: Readonly<Record<string, Verdict>> = {
  NoSuchBucket: { code: 'bucket_not_found', advice: 'create the bucket, or set store.url or s3.bucket' },
  NoSuchKey: { code: 'object_not_found' },
  // Bytes that changed on their way to the store.
  BadDigest: { code: 'store_unavailable', retryable: true },
  XAmzContentChecksumMismatch: { code: 'store_unavailable', retryable: true },
  NoSuchUpload: { code: 'store_unavailable', retryable: true },
  InvalidRange: { code: 'range_not_satisfiable' },
  SlowDown: { code: 'store_throttled' },
  TooManyRequests: { code: 'store_throttled' },
  RequestLimitExceeded: { code: 'store_throttled' },
  Throttling: { code: 'store_throttled' },
  ThrottlingException: { code: 'store_throttled' },
  ServiceUnavailable: { code: 'store_throttled' },
  RequestTimeout: { code: 'store_unavailable', retryable: true },
  RequestTimeTooSkewed: { code: 'access_denied', retryable: true, advice: 'set the clock of this machine' },
  ExpiredToken: { code: 'access_denied', retryable: true, advice: 'renew the credentials' },
  TokenRefreshRequired: { code: 'access_denied', retryable: true, advice: 'renew the credentials' },
  ConditionalRequestConflict: { code: 'store_unavailable', retryable: true },
  OperationAborted: { code: 'store_unavailable', retryable: true },
  KeyTooLongError: { code: 'usage' },
  InvalidObjectName: { code: 'usage' },
  XMinioInvalidObjectName: { code: 'usage' },
  InvalidBucketName: { code: 'usage' },
  QuotaExceeded: { code: 'disk_full' },
  XMinioStorageFull: { code: 'disk_full' },
  PermanentRedirect: { code: 'store_unavailable', retryable: false, advice: 'check region and endpoint' },
  AuthorizationHeaderMalformed: { code: 'store_unavailable', retryable: false, advice: 'check the region' },
};

function byStatus(status: number): Verdict {
  if (status === 401 || status === 403) return { code: 'access_denied', advice: 'check the credentials and policies' };
  if (status === 404) return { code: 'object_not_found' };
  if (status === 408) return { code: 'store_unavailable', retryable: true };
  if (status === 409) return { code: 'store_unavailable', retryable: true };
  if (status === 416) return { code: 'range_not_satisfiable' };
  if (status === 429 || status === 503) return { code: 'store_throttled' };
  if (status === 507) return { code: 'disk_full' };
  if (status >= 300 && status < 400) {
    return { code: 'store_unavailable', retryable: false, advice: 'check region and endpoint' };
  }
  if (status >= 400 && status < 500) return { code: 'store_unavailable', retryable: false };
  return { code: 'store_unavailable' };
}

/** One line, bounded, without control characters: it comes from the network. */
function clean(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\s]+/gu, ' ').trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

export function s3Error(failure: S3Failure, context: S3Context): SeekfsError {
  const { status, code, cause, retryAfterMs } = failure;
  const { key, bucket, condition } = context;
  if (status === 412 && key !== undefined && condition) {
    return condition.kind === 'read' ? objectChanged(key, condition.etag) : preconditionFailed(key, condition.kind);
  }
  if (condition?.kind === 'match' && key !== undefined && (code === 'NoSuchKey' || (status === 404 && code === ''))) {
    return preconditionFailed(key, 'match');
  }
  const verdict = BY_CODE[code] ?? byStatus(status);
  const what = key === undefined ? `bucket "${bucket}"` : `object "${key}" of bucket "${bucket}"`;
  const said = clean([code, failure.message].filter(Boolean).join(': '));
  const advice = verdict.advice ? `; ${verdict.advice}` : '';
  return new SeekfsError(
    verdict.code,
    `cannot ${context.doing} ${what} at ${context.endpoint}: HTTP ${status}${said ? ` ${said}` : ''}${advice}`,
    {
      details: { status, s3_code: code, ...(key === undefined ? {} : { key }) },
      cause,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(verdict.retryable === undefined ? {} : { retryable: verdict.retryable }),
    },
  );
}

const TLS_FAILURE = /CERT|SELF_SIGNED|UNABLE_TO_|^ERR_TLS|^ERR_SSL|EPROTO/;

/** There was nobody to ask. */
const UNREACHABLE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** The errno or the like of a network failure, also where clients wrap it. */
function failureCode(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    const code = systemErrorCode(at);
    if (code !== undefined) return code;
    if (at instanceof AggregateError) return failureCode(at.errors[0]);
  }
  return error instanceof Error ? error.name : 'unknown';
}

/** The status with which a proxy refused a tunnel: undici says it in words only. */
function refusedTunnel(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    const status = /^Proxy response \((\d{3})\)/.exec(at.message)?.[1];
    if (status !== undefined) return status;
  }
  return undefined;
}

/** The other side does not speak TLS at all. */
const NOT_TLS = new Set(['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG']);

function tlsAdvice(code: string): string {
  if (NOT_TLS.has(code)) return '; it may speak plain HTTP: then its URL begins with http://';
  return code === 'ERR_TLS_CERT_ALTNAME_INVALID'
    ? '; its certificate is for another name: check "endpoint" and "force_path_style" of [s3]'
    : '; trust its certificate with the key "ca_file" of [s3]';
}

function reachAdvice({ proxy }: S3Context): string {
  const past = proxy === undefined ? '' : `, check the proxy ${proxy} before it`;
  return `; check that it is the right endpoint, and runs${past}`;
}

/** A request that got no answer, or whose answer broke off. */
export function networkError(error: unknown, context: S3Context): SeekfsError {
  if (error instanceof SeekfsError) return error;
  const refused = refusedTunnel(error);
  if (refused !== undefined) return badAnswer(`is behind a proxy that answered HTTP ${refused}; check it`, context);
  const code = failureCode(error);
  const what = context.key === undefined ? `bucket "${context.bucket}"` : `object "${context.key}"`;
  const tls = TLS_FAILURE.test(code);
  const advice = tls ? tlsAdvice(code) : UNREACHABLE.has(code) ? reachAdvice(context) : '';
  return new SeekfsError(
    'store_unavailable',
    `cannot ${context.doing} ${what}: ${context.endpoint} failed with ${clean(code)}${advice}`,
    { details: { reason: clean(code) }, cause: error, ...(tls ? { retryable: false } : {}) },
  );
}

/** An answer that breaks the protocol: the same request may be answered rightly next time. */
export function badAnswer(problem: string, context: S3Context): SeekfsError {
  const what = context.key === undefined ? `bucket "${context.bucket}"` : `object "${context.key}"`;
  return new SeekfsError(
    'store_unavailable',
    `cannot ${context.doing} ${what}: ${context.endpoint} ${problem}`,
    context.key === undefined ? {} : { details: { key: context.key } },
  );
}

/** Milliseconds of a Retry-After header: seconds, or an HTTP date. RFC 9110 §10.2.3. */
export function parseRetryAfterMs(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,6}$/.test(value.trim())) return Number(value) * 1000;
  const atMs = Date.parse(value);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}
