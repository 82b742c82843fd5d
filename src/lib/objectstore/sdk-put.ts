// The two ways to put: one request, or parts. Both keep the condition, and tell a source that failed from a store that did.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { CompletedPart } from '@aws-sdk/client-s3';
import type { ByteRange } from '../base/byte-range.ts';
import { SeekfsError, isSeekfsError, throwIfAborted } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import { abortOptions } from './abort-options.ts';
import type { ObjectHead, PutRequest } from './object-store.ts';
import type { RequestCounter } from './request-counter.ts';
import { withRetries, type RetryPolicy } from './retry-policy.ts';
import type { LoadedClient } from './s3-client.ts';
import { badAnswer, type S3Context } from './s3-errors.ts';
import { normalizeEtag } from './s3-response.ts';
import { sdkError } from './sdk-errors.ts';
import { preconditionFailed, readSource, sourceSizeBytes } from './source.ts';

const PART_BYTES_MIN = 16 * MIB;
const PARTS_MAX = 10_000;
const PARTS_AT_ONCE = 4;

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

function conditionHeaders(site: SdkPutSite, request: PutRequest): ConditionHeaders {
  const { condition } = request;
  if (condition.kind === 'absent') return { IfNoneMatch: '*' };
  if (condition.kind === 'none') return {};
  return { IfMatch: site.ifMatch.unquoted ? condition.etag.replaceAll('"', '') : condition.etag };
}

/**
 * Sends the source's bytes [off, off + len) as a request's body. When the source fails the request is aborted, which
 * the client would not do by itself, and the source's error is the one that is thrown.
 */
async function sendBody<T>(
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

export async function putMultipart(site: SdkPutSite, request: PutRequest): Promise<{ etag: string }> {
  const { sdk, client, bucket, context, counter } = site;
  const { key, contentType, signal } = request;
  await checkBeforehand(site, request);
  const options = abortOptions(signal);
  counter.put();
  const created = await client.send(
    new sdk.CreateMultipartUploadCommand({
      Bucket: bucket,
      Key: key,
      ...(contentType === undefined ? {} : { ContentType: contentType }),
    }),
    options,
  );
  const UploadId = created.UploadId;
  if (!UploadId) throw badAnswer('began a multipart put without an id', context);
  try {
    const parts = await putParts(site, request, UploadId);
    throwIfAborted(signal);
    await checkBeforehand(site, request);
    return await complete(site, request, { UploadId, parts });
  } catch (error) {
    counter.delete();
    await client
      .send(new sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId }))
      .catch(() => undefined);
    throw error;
  }
}

async function complete(
  site: SdkPutSite,
  request: PutRequest,
  upload: { readonly UploadId: string; readonly parts: CompletedPart[] },
): Promise<{ etag: string }> {
  const { sdk, client, bucket, context, counter } = site;
  const { key, condition, signal } = request;
  const expectedEtag = compositeEtag(upload.parts);
  const command = new sdk.CompleteMultipartUploadCommand({
    Bucket: bucket,
    Key: key,
    UploadId: upload.UploadId,
    MultipartUpload: { Parts: upload.parts },
    ...(condition.kind === 'none' ? {} : conditionHeaders(site, request)),
  });
  return withRetries(site.partRetries, { signal }, async (attempt) => {
    counter.put();
    try {
      const { ETag } = await client.send(command, abortOptions(signal));
      // Ceph answers with an empty ETag.
      return { etag: ETag ? normalizeEtag(ETag) : (await site.head()).etag };
    } catch (thrown) {
      const error = sdkError(thrown, context, signal);
      if (attempt === 1 && !error.retryable) throw error;
      // The answer may have been lost after the store did its part.
      const current = await site.head().catch(() => undefined);
      if (current && current.etag === expectedEtag) return { etag: current.etag };
      throw error;
    }
  });
}

/** What S3 gives an object of these parts: the digest of their digests. Undefined where the store's ETags are no digests. */
function compositeEtag(parts: readonly CompletedPart[]): string | undefined {
  const digests = parts.map(({ ETag }) => /^"?([0-9a-f]{32})"?$/.exec(ETag ?? '')?.[1]);
  if (digests.includes(undefined)) return undefined;
  const digest = createHash('md5')
    .update(Buffer.from(digests.join(''), 'hex'))
    .digest('hex');
  return `"${digest}-${parts.length}"`;
}

/** Not every store takes conditions when a multipart put completes: then this is the check, though not an atomic one. */
async function checkBeforehand(site: SdkPutSite, request: PutRequest): Promise<void> {
  const { key, condition } = request;
  if (condition.kind === 'none') return;
  const current = await site.head().catch((error: unknown) => {
    if (isSeekfsError(error, 'object_not_found')) return undefined;
    throw error;
  });
  const holds = condition.kind === 'absent' ? !current : current?.etag === condition.etag;
  if (!holds) throw preconditionFailed(key, condition.kind);
}

async function putParts(site: SdkPutSite, request: PutRequest, UploadId: string): Promise<CompletedPart[]> {
  const { source, onProgress } = request;
  const sizeBytes = sourceSizeBytes(source);
  const partBytes = Math.max(PART_BYTES_MIN, Math.ceil(sizeBytes / PARTS_MAX / MIB) * MIB);
  const count = Math.ceil(sizeBytes / partBytes);
  const parts: CompletedPart[] = [];
  const stop = new AbortController();
  const signal = request.signal ? AbortSignal.any([request.signal, stop.signal]) : stop.signal;
  let takenBytes = 0;
  let nextPart = 0;
  const worker = async (): Promise<void> => {
    for (let part = nextPart++; part < count && !stop.signal.aborted; part = nextPart++) {
      const range = { off: part * partBytes, len: Math.min(partBytes, sizeBytes - part * partBytes) };
      const ETag = await withRetries(site.partRetries, { signal }, () =>
        putPart(site, { ...request, signal }, { UploadId, PartNumber: part + 1, range }),
      );
      parts[part] = { ETag, PartNumber: part + 1 };
      takenBytes += range.len;
      onProgress?.(takenBytes);
    }
  };
  const workers = Array.from({ length: Math.min(PARTS_AT_ONCE, count) }, () =>
    worker().catch((error: unknown) => {
      stop.abort(new SeekfsError('interrupted', 'another part of the object failed'));
      throw error;
    }),
  );
  const outcomes = await Promise.allSettled(workers);
  throwIfAborted(request.signal);
  const failed = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
  if (failed.length > 0) throw failed.find((error) => !isSeekfsError(error, 'interrupted')) ?? failed[0];
  return parts;
}

async function putPart(
  site: SdkPutSite,
  request: PutRequest,
  part: { readonly UploadId: string; readonly PartNumber: number; readonly range: ByteRange },
): Promise<string> {
  const { UploadId, PartNumber, range } = part;
  const input = { Bucket: site.bucket, Key: request.key, UploadId, PartNumber, ContentLength: range.len };
  site.counter.put();
  try {
    const output = await sendBody(request, range, (body, options) =>
      site.client.send(new site.sdk.UploadPartCommand({ ...input, Body: body }), options),
    );
    if (!output.ETag) throw badAnswer(`took part ${PartNumber} without an ETag`, site.context);
    return output.ETag;
  } catch (error) {
    throw sdkError(error, site.context, request.signal);
  }
}
