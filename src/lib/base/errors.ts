// The one error class of seekfs and the closed table of its codes: what each means to a shell (exit status), to an
// HTTP client (status) and to the retry loop. docs/errors.md lists exactly these rows; a test holds the two together.
import { getSystemErrorMap } from 'node:util';

interface ErrorRow {
  readonly exitStatus: number;
  readonly httpStatus: number;
  /** May the same request succeed if it is sent again after a pause? */
  readonly retryable: boolean;
  readonly summary: string;
}

export const ERROR_TABLE = {
  unexpected: row(1, 500, false, 'a defect in seekfs or in what it runs on'),
  usage: row(2, 400, false, 'the command line, a parameter or a name is malformed'),
  config_invalid: row(2, 500, false, 'the configuration has an unknown key, a wrong type or an impossible value'),
  range_not_satisfiable: row(2, 416, false, 'the range begins at or past the end of a non-empty file'),
  unsafe_store: row(2, 500, false, 'the store ignores conditional writes, so publishing to it could lose versions'),
  problems_found: row(3, 500, false, 'a check found problems'),
  namespace_not_found: row(10, 404, false, 'the namespace has no HEAD: nothing was published in it'),
  version_not_found: row(10, 404, false, 'the namespace has no such version'),
  path_not_found: row(10, 404, false, 'the version has no file of that path'),
  object_not_found: row(10, 404, false, 'the store has no such object'),
  bucket_not_found: row(10, 404, false, 'the store has no such bucket or root directory'),
  file_not_found: row(10, 404, false, 'a local file or directory does not exist'),
  locked: row(11, 503, true, 'another process holds the lock'),
  access_denied: row(12, 502, false, 'the store or the file system refused the credentials or the permission'),
  unauthorized: row(12, 401, false, 'the request carries no token that is valid for the namespace'),
  manifest_invalid: row(13, 502, false, 'HEAD or a manifest is malformed, or does not match its digest'),
  page_corrupt: row(13, 502, false, 'bytes from the store do not match the checksum of the manifest'),
  cache_corrupt: row(13, 500, false, 'the local cache is damaged in a way that reading through cannot mend'),
  unchecked_refused: row(13, 502, false, 'the manifest has no checksums and they were required'),
  version_conflict: row(14, 409, false, 'another publisher was first'),
  object_changed: row(14, 409, false, 'the object is not the one that the manifest names'),
  source_changed: row(14, 409, false, 'a local file changed while it was read'),
  hash_mismatch: row(14, 409, false, 'the hash asked for is not the hash of the file in this version'),
  precondition_failed: row(14, 412, false, 'a condition of the request does not hold'),
  store_unavailable: row(15, 502, true, 'the store cannot be reached, answered wrongly, or broke off'),
  store_throttled: row(15, 503, true, 'the store or the GET budget asks to slow down'),
  overloaded: row(15, 503, true, 'a limit of this process is reached'),
  disk_full: row(16, 507, false, 'no space is left where the bytes must go'),
  interrupted: row(130, 499, false, 'the work was interrupted'),
} as const satisfies Record<string, ErrorRow>;

function row(exitStatus: number, httpStatus: number, retryable: boolean, summary: string): ErrorRow {
  return { exitStatus, httpStatus, retryable, summary };
}

export type ErrorCode = keyof typeof ERROR_TABLE;

/** JSON scalars only: what failed, on what, expected and actual. Never a secret, never page bytes. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

export interface SeekfsErrorOptions {
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
  /** The store's own wish (Retry-After), in milliseconds. */
  readonly retryAfterMs?: number;
  /** Overrides the table where the same code can be final (a 4xx that is no throttling, say). */
  readonly retryable?: boolean;
}

/** Message: one line, what failed, on what, expected and actual, and what to do; lower case, no full stop. */
export class SeekfsError extends Error {
  override readonly name = 'SeekfsError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  readonly retryAfterMs: number | undefined;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: SeekfsErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.retryAfterMs = options.retryAfterMs;
    this.retryable = options.retryable ?? ERROR_TABLE[code].retryable;
  }

  get exitStatus(): number {
    return ERROR_TABLE[this.code].exitStatus;
  }

  get httpStatus(): number {
    return ERROR_TABLE[this.code].httpStatus;
  }

  /** The shape that `--json` and HTTP answers carry. */
  toJSON(): { error: { code: ErrorCode; message: string; details: ErrorDetails } } {
    return { error: { code: this.code, message: this.message, details: this.details } };
  }
}

export function isSeekfsError(value: unknown, code?: ErrorCode): value is SeekfsError {
  return value instanceof SeekfsError && (code === undefined || value.code === code);
}

/** The error that an aborted signal stands for: its reason where that is ours, `interrupted` otherwise. */
export function abortError(signal: AbortSignal): SeekfsError {
  const reason: unknown = signal.reason;
  return reason instanceof SeekfsError ? reason : new SeekfsError('interrupted', 'interrupted', { cause: reason });
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

const SYSTEM_ERROR_CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'file_not_found',
  ENOTDIR: 'file_not_found',
  EACCES: 'access_denied',
  EPERM: 'access_denied',
  EROFS: 'access_denied',
  ENOSPC: 'disk_full',
  EDQUOT: 'disk_full',
};

/** The errno name of a Node system error, or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Wraps whatever was thrown into a SeekfsError, once, where the vocabulary changes. `doing`: "read /etc/x". */
export function wrapSystemError(error: unknown, doing: string): SeekfsError {
  if (error instanceof SeekfsError) return error;
  const errno = systemErrorCode(error);
  const code = (errno === undefined ? undefined : SYSTEM_ERROR_CODES[errno]) ?? 'unexpected';
  return new SeekfsError(code, `cannot ${doing}: ${reasonOf(error)}`, { cause: error });
}

/** "no such file or directory (ENOENT)"; the name alone where the system has no words for it; else the message. */
export function reasonOf(error: unknown): string {
  const errno = systemErrorCode(error);
  if (errno === undefined) return error instanceof Error ? error.message : String(error);
  const number = error instanceof Error && 'errno' in error ? Number(error.errno) : Number.NaN;
  const words = getSystemErrorMap().get(number)?.[1];
  return words === undefined ? errno : `${words} (${errno})`;
}
