// Puts in one request, and what puts in parts (sdk-multipart.ts) share with it: the condition, and a body whose source may
// fail, which is told from a store that does.
import { Readable } from 'node:stream';
import type { ByteRange } from '../base/byte-range.ts';
import { isSeekfsError } from '../base/errors.ts';
import { abortOptions } from './abort-options.ts';
import type { ObjectHead, PutRequest } from './object-store.ts';
import type { RequestCounter } from './request-counter.ts';
import type { RetryPolicy } from './retry-policy.ts';
import type { LoadedClient } from './s3-client.ts';
import type { S3Context } from './s3-errors.ts';
import { normalizeEtag } from './s3-response.ts';
import { sdkError } from './sdk-errors.ts';
import { readSource, sourceSizeBytes } from './source.ts';

export interface SdkPutSite extends LoadedClient {
  readonly bucket: string;
  readonly context: S3Context;
  readonly counter: RequestCounter;
  /** What this store wants in the If-Match of a PUT, as far as it is known. */
  readonly ifMatch: { unquoted: boolean };
  readonly partRetries: RetryPolicy;
  readonly head: () => Promise<ObjectHead>;
}

type ConditionHeaders = { IfNoneMatch?: '*'; IfMatch?: string };

export function conditionHeaders(site: SdkPutSite, request: PutRequest): ConditionHeaders {
  const { condition } = request;
  if (condition.kind === 'absent') return { IfNoneMatch: '*' };
  if (condition.kind === 'none') return {};
  return { IfMatch: site.ifMatch.unquoted ? condition.etag.replaceAll('"', '') : condition.etag };
}

/**
 * Sends the source's bytes [off, off + len) as a request's body. When the source fails the request is aborted, which
 * the client would not do by itself, and the source's error is the one that is thrown.
 */
export async function sendBody<T>(
  request: PutRequest,
  range: ByteRange,
  send: (body: Readable | Uint8Array, options: { abortSignal?: AbortSignal }) => Promise<T>,
): Promise<T> {
  const { key, source, signal } = request;
  if (source.kind === 'bytes') {
    const body = source.bytes.subarray(range.off, range.off + range.len);
    return send(body, abortOptions(signal));
  }
  const stop = new AbortController();
  let failure: unknown;
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* readSource(source, range, { key, signal });
    } catch (error) {
      failure = error;
      stop.abort();
      throw error;
    }
  };
  const body = Readable.from(chunks(), { objectMode: false });
  body.on('error', () => undefined);
  try {
    return await send(body, { abortSignal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal });
  } catch (error) {
    throw failure ?? error;
  } finally {
    body.destroy();
  }
}

export async function putSingle(site: SdkPutSite, request: PutRequest): Promise<{ etag: string }> {
  const { condition } = request;
  try {
    return await putOnce(site, request);
  } catch (thrown) {
    const error = sdkError(thrown, site.context, request.signal);
    const refused = condition.kind === 'match' && isSeekfsError(error, 'precondition_failed');
    if (!refused || site.ifMatch.unquoted) throw error;
    // Refused although the ETag is the current one: the store may compare it without its quotes. Sending it so is just as
    // conditional, and whoever ignores conditions would not have refused.
    const current = await site.head().catch(() => undefined);
    if (current?.etag !== condition.etag) throw error;
    const result = await putOnce({ ...site, ifMatch: { unquoted: true } }, request);
    site.ifMatch.unquoted = true;
    return result;
  }
}

async function putOnce(site: SdkPutSite, request: PutRequest): Promise<{ etag: string }> {
  const { key, source, contentType, onProgress } = request;
  const sizeBytes = sourceSizeBytes(source);
  const input = {
    Bucket: site.bucket,
    Key: key,
    ContentLength: sizeBytes,
    ...(contentType === undefined ? {} : { ContentType: contentType }),
    ...conditionHeaders(site, request),
  };
  site.counter.put();
  const output = await sendBody(request, { off: 0, len: sizeBytes }, (body, options) =>
    site.client.send(new site.sdk.PutObjectCommand({ ...input, Body: body }), options),
  );
  onProgress?.(sizeBytes);
  return { etag: output.ETag ? normalizeEtag(output.ETag) : (await site.head()).etag };
}
