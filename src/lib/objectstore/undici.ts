// The `undici` engine (alias `crt`), for throughput: GETs and head requests are presigned, reused while they are valid,
// and sent over undici's pools, or by our own client over plain HTTP, with nothing between the parser and the sink. Everything
// that writes or lists is left to the `sdk` engine. One call here is one attempt, as there.
import { rangeEnd, type ByteRange } from '../base/byte-range.ts';
import type { Clock } from '../base/clock.ts';
import { SeekfsError, throwIfAborted } from '../base/errors.ts';
import { ForwardingObjectStore } from './forwarding.ts';
import { checkKey } from './key.ts';
import type {
  GetRangeRequest,
  GetWholeRequest,
  ObjectHead,
  ObjectStore,
  RangeSink,
  WholeObject,
} from './object-store.ts';
import type { GetDispatcher } from './plain-http.ts';
import { PresignedRequests } from './presigned-requests.ts';
import type { RequestCounter } from './request-counter.ts';
import type { S3Context } from './s3-errors.ts';
import { endpointName, proxyName, type S3Options } from './s3-options.ts';
import { checkNotEncoded, checkRangeAnswer, checkWholeAnswer } from './s3-response.ts';
import { sdkError } from './sdk-errors.ts';
import { checkRange, tooLarge } from './source.ts';
import { orByRange } from './whole-by-range.ts';
import { createGetDispatcher } from './undici-dispatcher.ts';
import { UndiciGetHandler, type UndiciGet } from './undici-get.ts';

export interface UndiciStoreOptions {
  readonly s3: S3Options;
  readonly counter: RequestCounter;
  readonly clock: Clock;
  /** For what this engine does not do itself. */
  readonly sdk: ObjectStore;
}

/** What a request says beside its key. */
interface Sending {
  readonly range?: ByteRange;
  readonly ifMatch?: string | undefined;
  /** The connection ends with the answer. */
  readonly reset?: boolean;
}

export class UndiciObjectStore extends ForwardingObjectStore {
  readonly #s3: S3Options;
  /** For messages. */
  readonly #store: Pick<S3Context, 'bucket' | 'endpoint' | 'proxy'>;
  readonly #counter: RequestCounter;
  readonly #signed: PresignedRequests;
  #loading: Promise<GetDispatcher> | undefined;
  #dispatcher: GetDispatcher | undefined;

  constructor(options: UndiciStoreOptions) {
    super(options.sdk);
    this.#s3 = options.s3;
    this.#store = { bucket: this.#s3.bucket, endpoint: endpointName(this.#s3), proxy: proxyName(this.#s3) };
    this.#counter = options.counter;
    this.#signed = new PresignedRequests(options.s3, options.clock);
  }

  override head(request: { key: string; signal?: AbortSignal | undefined }): Promise<ObjectHead> {
    const context = this.#context('head', request.key);
    return this.#send('HEAD', request, context, {}, () => this.#counter.head(), {
      // The length of a head request's answer is that of the object; there is no body.
      accept: (response) => ({ head: checkWholeAnswer(response, context), bodyBytes: 0 }),
      write: () => undefined,
    });
  }

  override getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    const { key, range, ifMatch, purpose } = request;
    const context = this.#context('get', key, ifMatch);
    return this.#send('GET', request, context, request, () => this.#counter.get(purpose), {
      accept: (response) => {
        const head = checkRangeAnswer(response, request, context);
        request.onHead?.(head);
        return { head, bodyBytes: range.len };
      },
      write: (chunk) => {
        this.#counter.bytes(purpose, chunk.byteLength);
        return sink.write(chunk);
      },
    });
  }

  override getWhole(request: GetWholeRequest): Promise<WholeObject> {
    return orByRange(this, request, () => this.#getWhole(request));
  }

  async #getWhole(request: GetWholeRequest): Promise<WholeObject> {
    const { key, sizeBytesMax, purpose } = request;
    const context = this.#context('get', key);
    let bytes = Buffer.alloc(0);
    let filledBytes = 0;
    // Where Nagle's algorithm holds the end of a short answer back until its beginning is acknowledged, that takes 40 ms on a
    // connection that is used again, and nothing on one that is new or ends with the answer. Without TLS a new one is cheap.
    const reset = this.#s3.endpoint?.startsWith('http:') === true;
    const head = await this.#send('GET', request, context, { reset }, () => this.#counter.get(purpose), {
      accept: (response) => {
        const accepted = checkWholeAnswer(response, context);
        checkNotEncoded(response, accepted);
        if (accepted.sizeBytes > sizeBytesMax) throw tooLarge(key, accepted.sizeBytes, sizeBytesMax);
        bytes = Buffer.alloc(accepted.sizeBytes);
        return { head: accepted, bodyBytes: accepted.sizeBytes };
      },
      write: (chunk) => {
        this.#counter.bytes(purpose, chunk.byteLength);
        bytes.set(chunk, filledBytes);
        filledBytes += chunk.byteLength;
      },
    });
    return { ...head, bytes };
  }

  override async close(): Promise<void> {
    const dispatcher = await this.#loading?.catch(() => undefined);
    await Promise.all([dispatcher?.destroy(), this.#signed.close(), this.inner.close()]);
  }

  #load(): Promise<GetDispatcher> {
    this.#loading ??= createGetDispatcher(this.#s3).then(
      (dispatcher) => (this.#dispatcher = dispatcher),
      (error: unknown) => {
        this.#loading = undefined;
        throw error;
      },
    );
    return this.#loading;
  }

  #context(doing: string, key: string, ifMatch?: string): S3Context {
    const condition = ifMatch === undefined ? undefined : ({ kind: 'read', etag: ifMatch } as const);
    return { doing, key, ...this.#store, condition };
  }

  async #send(
    method: 'GET' | 'HEAD',
    request: { readonly key: string; readonly signal?: AbortSignal | undefined },
    context: S3Context,
    { range, ifMatch, reset }: Sending,
    count: () => void,
    { accept, write }: Pick<UndiciGet, 'accept' | 'write'>,
  ): Promise<ObjectHead> {
    const { key, signal } = request;
    checkKey(key);
    if (range) checkRange(key, range);
    throwIfAborted(signal);
    let signed = this.#signed.kept(method, key);
    let dispatcher = this.#dispatcher;
    if (!signed || !dispatcher) {
      try {
        [signed, dispatcher] = await Promise.all([this.#signed.sign(method, key), this.#load()]);
      } catch (error) {
        throw sdkError(error, context, signal);
      }
      throwIfAborted(signal);
    }
    const onRefusal: UndiciGet['onRefusal'] = (error, { code, storeTimeMs }) => {
      if (error.code !== 'access_denied') return error;
      const expired = code === 'ExpiredToken' || code === 'TokenRefreshRequired';
      const retryable = this.#signed.refused(signed, { storeTimeMs, expired });
      return new SeekfsError(error.code, error.message, { details: error.details, retryable });
    };
    const handler = new UndiciGetHandler({ context, signal, accept, write, onRefusal });
    count();
    const { origin, path } = signed;
    const headers: Record<string, string> = {};
    if (range) headers['range'] = `bytes=${range.off}-${rangeEnd(range) - 1}`;
    if (ifMatch !== undefined) headers['if-match'] = ifMatch;
    // Nothing may encode the body on its way: the ranges are those of the stored bytes.
    headers['accept-encoding'] = 'identity';
    // To undici even `false` means something: to keep a connection that has answered a head request.
    dispatcher.dispatch({ origin, path, method, headers, ...(reset && { reset }) }, handler);
    return handler.done;
  }
}
