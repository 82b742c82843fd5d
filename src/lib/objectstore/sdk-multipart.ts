// Puts in parts. The condition is checked before and when the parts are put together. With a memory of uploads a put that
// was interrupted goes on with the parts that the store has: those whose number, size and ETag it remembers. Parts carry a
// CRC32C where the source knows it and the store says that it compares it.
import { createHash } from 'node:crypto';
import type { CompletedPart } from '@aws-sdk/client-s3';
import type { ByteRange } from '../base/byte-range.ts';
import { SeekfsError, isSeekfsError, throwIfAborted } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import { abortOptions } from './abort-options.ts';
import type { PutRequest, Upload } from './object-store.ts';
import { withRetries } from './retry-policy.ts';
import { badAnswer } from './s3-errors.ts';
import { normalizeEtag } from './s3-response.ts';
import { sdkError } from './sdk-errors.ts';
import { conditionHeaders, sendBody, type SdkPutSite } from './sdk-put.ts';
import { preconditionFailed, sourceSizeBytes } from './source.ts';

const PART_BYTES_MIN = 16 * MIB;
const PARTS_MAX = 10_000;
const PARTS_AT_ONCE = 4;

/** `sent`: the ETags of the parts that need not be sent, by their numbers. */
interface StartedUpload {
  readonly upload: Upload;
  readonly sent: ReadonlyMap<number, string>;
  /** The store compares the bytes of each part with a CRC32C that comes with them. */
  readonly isChecked: boolean;
}

export async function putMultipart(site: SdkPutSite, request: PutRequest): Promise<{ etag: string }> {
  const { key, uploads, signal } = request;
  await checkBeforehand(site, request);
  const started = (await resume(site, request)) ?? (await begin(site, request));
  const { uploadId } = started.upload;
  let object: { etag: string };
  try {
    const parts = await putParts(site, request, started);
    throwIfAborted(signal);
    await checkBeforehand(site, request);
    object = await complete(site, request, { uploadId, parts });
  } catch (error) {
    if (!uploads || !canGoOn(error)) {
      await abortUpload(site, { key, uploadId }).catch(() => undefined);
      await uploads?.forget();
    }
    throw error;
  }
  await uploads?.forget();
  return object;
}

/** Whether the same put may succeed later with the parts that were sent. */
function canGoOn(error: unknown): boolean {
  return isSeekfsError(error) && (error.retryable || error.code === 'interrupted' || error.code === 'access_denied');
}

export async function abortUpload(
  site: Pick<SdkPutSite, 'sdk' | 'client' | 'bucket' | 'counter' | 'context'>,
  request: { readonly key: string; readonly uploadId: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const { sdk, client, bucket, counter, context } = site;
  const { key, uploadId, signal } = request;
  counter.delete();
  try {
    const command = new sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId });
    await client.send(command, abortOptions(signal));
  } catch (thrown) {
    const error = sdkError(thrown, context, signal);
    if (!isUnknown(error)) throw error;
  }
}

function isUnknown(error: SeekfsError): boolean {
  return error.details['s3_code'] === 'NoSuchUpload';
}

async function begin(site: SdkPutSite, request: PutRequest): Promise<StartedUpload> {
  const { sdk, client, bucket, context, counter } = site;
  const { key, contentType, source, signal } = request;
  counter.put();
  const created = await client.send(
    new sdk.CreateMultipartUploadCommand({
      Bucket: bucket,
      Key: key,
      ...(contentType === undefined ? {} : { ContentType: contentType }),
      // Stores that know nothing of it pass the header over, and do not repeat it.
      ...(source.kind === 'stream' && source.crc32cOf ? { ChecksumAlgorithm: 'CRC32C' } : {}),
    }),
    abortOptions(signal),
  );
  if (!created.UploadId) throw badAnswer('began a multipart put without an id', context);
  const partBytes = Math.max(PART_BYTES_MIN, Math.ceil(sourceSizeBytes(source) / PARTS_MAX / MIB) * MIB);
  const upload = { uploadId: created.UploadId, partBytes };
  await request.uploads?.begin(upload);
  return { upload, sent: new Map(), isChecked: created.ChecksumAlgorithm === 'CRC32C' };
}

/** What an interrupted put left, as far as the store has it still; undefined where there is nothing to go on with. */
async function resume(site: SdkPutSite, request: PutRequest): Promise<StartedUpload | undefined> {
  const { uploads, signal } = request;
  const left = uploads?.recall();
  if (!uploads || !left) return undefined;
  const { upload, etags } = left;
  const stored = await withRetries(site.partRetries, { signal }, () => listParts(site, request, upload));
  if (!stored) {
    await abortUpload(site, { key: request.key, uploadId: upload.uploadId, signal }).catch(() => undefined);
    await uploads.forget();
    return undefined;
  }
  const sent = new Map<number, string>();
  for (const [partNumber, etag] of etags) {
    const part = stored.parts.get(partNumber);
    const { len } = rangeOf(partNumber, upload, sourceSizeBytes(request.source));
    if (part?.sizeBytes === len && part.etag === normalizeEtag(etag)) sent.set(partNumber, etag);
  }
  return { upload, sent, isChecked: stored.isChecked };
}

interface StoredParts {
  readonly parts: ReadonlyMap<number, { readonly etag: string; readonly sizeBytes: number }>;
  readonly isChecked: boolean;
}

/** Undefined where the store does not know the upload, or never tells its parts: not every policy allows to list them. */
async function listParts(site: SdkPutSite, request: PutRequest, upload: Upload): Promise<StoredParts | undefined> {
  const { sdk, client, bucket, context, counter } = site;
  const { key, signal } = request;
  const parts = new Map<number, { etag: string; sizeBytes: number }>();
  let marker: string | undefined;
  try {
    for (;;) {
      counter.list();
      const input = { Bucket: bucket, Key: key, UploadId: upload.uploadId };
      const from = marker === undefined ? {} : { PartNumberMarker: marker };
      const page = await client.send(new sdk.ListPartsCommand({ ...input, ...from }), abortOptions(signal));
      for (const { PartNumber, ETag, Size } of page.Parts ?? []) {
        if (PartNumber !== undefined && ETag !== undefined && Size !== undefined) {
          parts.set(PartNumber, { etag: normalizeEtag(ETag), sizeBytes: Size });
        }
      }
      const next = page.IsTruncated ? page.NextPartNumberMarker : undefined;
      // A marker that stands still would be asked for without end.
      if (next === undefined || next === marker) return { parts, isChecked: page.ChecksumAlgorithm === 'CRC32C' };
      marker = next;
    }
  } catch (thrown) {
    const error = sdkError(thrown, context, signal);
    if (error.code === 'interrupted' || (error.retryable && !isUnknown(error))) throw error;
    return undefined;
  }
}

function rangeOf(partNumber: number, upload: Upload, sizeBytes: number): ByteRange {
  const off = (partNumber - 1) * upload.partBytes;
  return { off, len: Math.max(0, Math.min(upload.partBytes, sizeBytes - off)) };
}

async function complete(
  site: SdkPutSite,
  request: PutRequest,
  upload: { readonly uploadId: string; readonly parts: CompletedPart[] },
): Promise<{ etag: string }> {
  const { sdk, client, bucket, context, counter } = site;
  const { key, condition, signal } = request;
  const expectedEtag = compositeEtag(upload.parts);
  const command = new sdk.CompleteMultipartUploadCommand({
    Bucket: bucket,
    Key: key,
    UploadId: upload.uploadId,
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

async function putParts(site: SdkPutSite, request: PutRequest, started: StartedUpload): Promise<CompletedPart[]> {
  const { source, uploads, onProgress } = request;
  const { upload, sent } = started;
  const sizeBytes = sourceSizeBytes(source);
  const count = Math.ceil(sizeBytes / upload.partBytes);
  const parts: CompletedPart[] = [];
  const missing: number[] = [];
  let takenBytes = 0;
  for (let partNumber = 1; partNumber <= count; partNumber += 1) {
    const ETag = sent.get(partNumber);
    if (ETag === undefined) {
      missing.push(partNumber);
      continue;
    }
    const range = rangeOf(partNumber, upload, sizeBytes);
    parts[partNumber - 1] = { ETag, PartNumber: partNumber, ...checksumOf(request, started, range) };
    takenBytes += range.len;
  }
  if (takenBytes > 0) onProgress?.(takenBytes);
  const stop = new AbortController();
  const signal = request.signal ? AbortSignal.any([request.signal, stop.signal]) : stop.signal;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < missing.length && !stop.signal.aborted) {
      const partNumber = missing[next++]!;
      const range = rangeOf(partNumber, upload, sizeBytes);
      const checksum = checksumOf(request, started, range);
      const part = { UploadId: upload.uploadId, PartNumber: partNumber, range, checksum };
      const etag = await withRetries(site.partRetries, { signal }, () => putPart(site, { ...request, signal }, part));
      parts[partNumber - 1] = { ETag: etag, PartNumber: partNumber, ...checksum };
      await uploads?.add(upload, { partNumber, etag });
      takenBytes += range.len;
      onProgress?.(takenBytes);
    }
  };
  const workers = Array.from({ length: Math.min(PARTS_AT_ONCE, missing.length) }, () =>
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

interface PartChecksum {
  readonly ChecksumCRC32C?: string;
}

/** As S3 writes it: the four bytes, highest first, in base64. */
function checksumOf({ source }: PutRequest, { isChecked }: StartedUpload, range: ByteRange): PartChecksum {
  const crc = isChecked && source.kind === 'stream' ? source.crc32cOf?.(range) : undefined;
  if (crc === undefined) return {};
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return { ChecksumCRC32C: bytes.toString('base64') };
}

async function putPart(
  site: SdkPutSite,
  request: PutRequest,
  part: {
    readonly UploadId: string;
    readonly PartNumber: number;
    readonly range: ByteRange;
    readonly checksum: PartChecksum;
  },
): Promise<string> {
  const { UploadId, PartNumber, range, checksum } = part;
  const input = { Bucket: site.bucket, Key: request.key, UploadId, PartNumber, ContentLength: range.len, ...checksum };
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
