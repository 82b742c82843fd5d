// Reads what the AWS SDK threw: an answer of the store, a failure of the network, or no credentials.
import { SeekfsError, abortError, systemErrorCode } from '../base/errors.ts';
import { networkError, parseRetryAfterMs, s3Error, type S3Context } from './s3-errors.ts';

/** The parts of the SDK's exceptions that matter; any of them may be missing. */
interface SdkException {
  readonly name?: string;
  readonly message?: string;
  readonly Code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
}

/** Names that the SDK makes up where the answer has no `<Code>`, and messages where it has no `<Message>`. */
const NO_CODE = new Set([
  'NotFound',
  'Forbidden',
  'Unknown',
  'UnknownError',
  'Error',
  'SyntaxError',
  'TypeError',
  '403',
  '404',
]);

/** Without the request and the response that the SDK hangs on its exceptions: they hold headers that nobody may log. */
function bare(thrown: unknown): Error {
  if (!(thrown instanceof Error)) return new Error(String(thrown));
  const error = new Error(thrown.message);
  error.name = thrown.name;
  const code = systemErrorCode(thrown);
  return code === undefined ? error : Object.assign(error, { code });
}

export function sdkError(thrown: unknown, context: S3Context, signal: AbortSignal | undefined): SeekfsError {
  if (thrown instanceof SeekfsError) return thrown;
  if (signal?.aborted) return abortError(signal);
  const exception = (thrown ?? {}) as SdkException;
  if (exception.name === 'CredentialsProviderError') {
    return new SeekfsError(
      'access_denied',
      `cannot ${context.doing} at ${context.endpoint}: no credentials found; set access_key_id and secret_access_key, or AWS credentials`,
      { cause: bare(thrown) },
    );
  }
  const status = exception.$response?.statusCode ?? exception.$metadata?.httpStatusCode;
  if (status === undefined) return networkError(bare(thrown), context);
  const name = exception.Code ?? exception.name ?? '';
  const retryAfterMs = parseRetryAfterMs(exception.$response?.headers?.['retry-after'], Date.now());
  // A success that the SDK could not read is a broken answer, and may be a right one next time.
  if (status < 300) return networkError(bare(thrown), context);
  const code = NO_CODE.has(name) ? '' : name;
  const message = code === '' || NO_CODE.has(exception.message ?? '') ? '' : (exception.message ?? '');
  return s3Error({ status, code, message, retryAfterMs, cause: bare(thrown) }, context);
}
