// The `sdk` engine: the ObjectStore contract over the AWS SDK v3, for any S3-compatible store. One call here is one
// attempt: retries, budgets and the cap on requests in flight are decorators around it.
import type { Readable } from 'node:stream';
import type { GetObjectCommandOutput, HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import { isSeekfsError, throwIfAborted, type SeekfsError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import { abortOptions } from './abort-options.ts';
import { probeConditionalWrites } from './conditional-probe.ts';
import { checkKey } from './key.ts';
import type {
  ConditionalWrites,
  GetRangeRequest,
  GetWholeRequest,
  ListRequest,
  ObjectHead,
  ObjectListing,
  ObjectStore,
  PutRequest,
  RangeSink,
  UploadListing,
  WholeObject,
} from './object-store.ts';
import type { RequestCounter } from './request-counter.ts';
import type { RetryPolicy } from './retry-policy.ts';
import { createS3Client, type LoadedClient } from './s3-client.ts';
import type { S3Context } from './s3-errors.ts';
import { DEFAULT_TIMEOUTS, endpointName, proxyName, s3Url, type S3Options, type S3Timeouts } from './s3-options.ts';
import {
  EncodedAnswer,
  ExactLength,
  checkNotEncoded,
  checkRangeAnswer,
  checkWholeAnswer,
  type S3ResponseHead,
} from './s3-response.ts';
import { orByRange } from './whole-by-range.ts';
import { deleteObjects } from './sdk-delete.ts';
import { sdkError } from './sdk-errors.ts';
import { listObjects, listUploads } from './sdk-list.ts';
import { abortUpload, putMultipart } from './sdk-multipart.ts';
import { putSingle, type SdkPutSite } from './sdk-put.ts';
import { deliver } from './sdk-body.ts';
import { checkRange, sourceSizeBytes, tooLarge } from './source.ts';

const MULTIPART_FROM_BYTES = 64 * MIB;

export interface SdkStoreOptions {
  readonly s3: S3Options;
  readonly counter: RequestCounter;
  /** For the parts of a multipart put. */
  readonly partRetries: RetryPolicy;
}

export class SdkObjectStore implements ObjectStore {
  readonly url: string;
  readonly #s3: S3Options;
  readonly #timeouts: S3Timeouts;
  readonly #endpoint: string;
  readonly #counter: RequestCounter;
  readonly #partRetries: RetryPolicy;
  /** Ceph compares the raw If-Match of a PUT with an ETag without quotes; learned from the first refusal. */
  readonly #ifMatch = { unquoted: false };
  #loading: Promise<LoadedClient> | undefined;
  #probed: Promise<ConditionalWrites> | undefined;

  constructor(options: SdkStoreOptions) {
    this.#s3 = options.s3;
    this.#timeouts = { ...DEFAULT_TIMEOUTS, ...options.s3.timeouts };
    this.#endpoint = endpointName(options.s3);
    this.#counter = options.counter;
    this.#partRetries = options.partRetries;
    this.url = s3Url(options.s3);
  }

  async head(request: { key: string; signal?: AbortSignal | undefined }): Promise<ObjectHead> {
    const { key, signal } = request;
    checkKey(key);
    const context = this.#context('head', key);
    return this.#attempt(context, signal, async ({ sdk, client }) => {
      this.#counter.head();
      const command = new sdk.HeadObjectCommand({ Bucket: this.#s3.bucket, Key: key });
      const output = await client.send(command, abortOptions(signal));
      return checkWholeAnswer(responseHead(output), context);
    });
  }

  async getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    const { key, range, ifMatch, purpose, signal } = request;
    checkKey(key);
    checkRange(key, range);
    const context: S3Context = {
      ...this.#context('get', key),
      ...(ifMatch === undefined ? {} : { condition: { kind: 'read', etag: ifMatch } }),
    };
    return this.#attempt(context, signal, async ({ sdk, client }) => {
      this.#counter.get(purpose);
      const command = new sdk.GetObjectCommand({
        Bucket: this.#s3.bucket,
        Key: key,
        Range: `bytes=${range.off}-${range.off + range.len - 1}`,
        ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }),
      });
      const output = await client.send(command, abortOptions(signal));
      const body = output.Body as Readable;
      try {
        const head = checkRangeAnswer(responseHead(output), request, context);
        request.onHead?.(head);
        const expected = new ExactLength(range.len, context);
        await deliver(body, { stallMs: this.#timeouts.stallMs, context, signal }, (chunk) => {
          expected.add(chunk.byteLength);
          this.#counter.bytes(purpose, chunk.byteLength);
          return sink.write(chunk);
        });
        expected.end();
        return head;
      } finally {
        body.destroy();
      }
    });
  }

  getWhole(request: GetWholeRequest): Promise<WholeObject> {
    return orByRange(this, request, () => this.#getWhole(request));
  }

  async #getWhole(request: GetWholeRequest): Promise<WholeObject> {
    const { key, sizeBytesMax, purpose, signal } = request;
    checkKey(key);
    const context = this.#context('get', key);
    return this.#attempt(context, signal, async ({ sdk, client }) => {
      this.#counter.get(purpose);
      const command = new sdk.GetObjectCommand({ Bucket: this.#s3.bucket, Key: key });
      const output = await client.send(command, abortOptions(signal));
      const body = output.Body as Readable;
      try {
        const head = checkWholeAnswer(responseHead(output), context);
        checkNotEncoded(responseHead(output), head);
        if (head.sizeBytes > sizeBytesMax) throw tooLarge(key, head.sizeBytes, sizeBytesMax);
        const bytes = Buffer.alloc(head.sizeBytes);
        const expected = new ExactLength(head.sizeBytes, context);
        let filledBytes = 0;
        await deliver(body, { stallMs: this.#timeouts.stallMs, context, signal }, (chunk) => {
          expected.add(chunk.byteLength);
          this.#counter.bytes(purpose, chunk.byteLength);
          bytes.set(chunk, filledBytes);
          filledBytes += chunk.byteLength;
        });
        expected.end();
        return { ...head, bytes };
      } finally {
        body.destroy();
      }
    });
  }

  async put(request: PutRequest): Promise<{ etag: string }> {
    const { key, source, condition, signal } = request;
    checkKey(key);
    const context: S3Context = {
      ...this.#context('put', key),
      ...(condition.kind === 'none' ? {} : { condition }),
    };
    // What is in memory goes in one request: then its conditions are atomic on every store that knows them.
    const multipart = source.kind === 'stream' && sourceSizeBytes(source) > MULTIPART_FROM_BYTES;
    return this.#attempt(context, signal, (loaded) => {
      const site: SdkPutSite = {
        ...loaded,
        bucket: this.#s3.bucket,
        context,
        counter: this.#counter,
        ifMatch: this.#ifMatch,
        partRetries: this.#partRetries,
        head: () => this.head({ key, signal }),
      };
      return multipart ? putMultipart(site, request) : putSingle(site, request);
    });
  }

  async abortUpload(request: { key: string; uploadId: string; signal?: AbortSignal | undefined }): Promise<void> {
    const context = this.#context('abort the upload of', request.key);
    await this.#attempt(context, request.signal, (loaded) =>
      abortUpload({ ...loaded, bucket: this.#s3.bucket, counter: this.#counter, context }, request),
    );
  }

  async listUploads(request: { prefix: string; signal?: AbortSignal | undefined }): Promise<readonly UploadListing[]> {
    const context = this.#context('list the uploads of', undefined);
    return this.#attempt(context, request.signal, (loaded) =>
      listUploads({ ...loaded, bucket: this.#s3.bucket, counter: this.#counter, context }, request),
    );
  }

  async *list(request: ListRequest): AsyncGenerator<readonly ObjectListing[]> {
    const { signal } = request;
    const context = this.#context('list', undefined);
    let startAfter = request.startAfter;
    let token: string | undefined;
    for (;;) {
      const from = { ...request, startAfter, token };
      const page = await this.#attempt(context, signal, (loaded) => {
        this.#counter.list();
        return listObjects({ ...loaded, bucket: this.#s3.bucket, context }, from);
      });
      if (page.objects.length > 0) yield page.objects;
      if (page.nextToken === undefined) return;
      token = page.nextToken;
      startAfter = page.objects.at(-1)?.key ?? startAfter;
    }
  }

  async delete(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void> {
    const { keys, signal } = request;
    for (const key of keys) checkKey(key);
    throwIfAborted(signal);
    if (keys.length === 0) return;
    const context = this.#context('delete', keys.length === 1 ? keys[0] : undefined);
    await this.#attempt(context, signal, (loaded) =>
      deleteObjects({ ...loaded, bucket: this.#s3.bucket, context, counter: this.#counter }, keys, signal),
    );
  }

  async presign(request: { key: string; expiresS: number }): Promise<string> {
    const { key, expiresS } = request;
    checkKey(key);
    return this.#attempt(this.#context('presign', key), undefined, async ({ sdk, client }) => {
      const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner');
      const command = new sdk.GetObjectCommand({ Bucket: this.#s3.bucket, Key: key });
      return getSignedUrl(client, command, { expiresIn: expiresS });
    });
  }

  probeConditionalWrites(request: { prefix: string; signal?: AbortSignal | undefined }): Promise<ConditionalWrites> {
    this.#probed ??= probeConditionalWrites(this, request).catch((error: unknown) => {
      this.#probed = undefined;
      throw error;
    });
    return this.#probed;
  }

  async close(): Promise<void> {
    const loaded = await this.#loading?.catch(() => undefined);
    loaded?.client.destroy();
    this.#loading = undefined;
  }

  #context(doing: string, key: string | undefined): S3Context {
    return { doing, key, bucket: this.#s3.bucket, endpoint: this.#endpoint, proxy: proxyName(this.#s3) };
  }

  async #attempt<T>(
    context: S3Context,
    signal: AbortSignal | undefined,
    work: (loaded: LoadedClient) => Promise<T>,
  ): Promise<T> {
    throwIfAborted(signal);
    this.#loading ??= createS3Client(this.#s3);
    const loading = this.#loading;
    try {
      return await work(await loading);
    } catch (error) {
      if (error instanceof EncodedAnswer) throw error;
      const wrapped = sdkError(error, context, signal);
      // The next attempt asks the credential chain anew: a client keeps credentials until they say that they expire.
      const stale = isExpiredToken(wrapped) || isSeekfsError(wrapped, 'file_not_found');
      if (stale && this.#loading === loading) this.#loading = undefined;
      throw wrapped;
    }
  }
}

function isExpiredToken(error: SeekfsError): boolean {
  const { s3_code: code } = error.details;
  return code === 'ExpiredToken' || code === 'TokenRefreshRequired';
}

function responseHead(output: GetObjectCommandOutput | HeadObjectCommandOutput): S3ResponseHead {
  return {
    status: output.$metadata.httpStatusCode ?? 0,
    contentRange: output.ContentRange,
    contentLength: output.ContentLength?.toString(),
    contentEncoding: output.ContentEncoding,
    etag: output.ETag,
    lastModified: output.LastModified?.toUTCString(),
  };
}
