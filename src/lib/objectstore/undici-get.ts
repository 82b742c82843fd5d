// One GET or head request, as a dispatch handler for undici's pools and for plain-http.ts: the answer's head is checked
// before the first byte, and chunks go straight from the parser to the sink. (Async iteration and `arrayBuffer()` of undici
// are slower by a third.) Over plain HTTP a chunk lies in memory that the next read of any connection overwrites.
import { abortError, type SeekfsError } from '../base/errors.ts';
import { onAbort } from '../base/on-abort.ts';
import { KIB } from '../base/units.ts';
import type { GetControl, GetHandler, ResponseFields } from './plain-http.ts';
import { networkError, parseRetryAfterMs, s3Error, type S3Context } from './s3-errors.ts';
import { ExactLength, type S3ResponseHead } from './s3-response.ts';
import type { ObjectHead } from './object-store.ts';

const ERROR_BODY_BYTES_MAX = 64 * KIB;

export interface UndiciGet {
  readonly context: S3Context;
  readonly signal: AbortSignal | undefined;
  /** Checks the head of a successful answer; says how many bytes its body has. */
  readonly accept: (response: S3ResponseHead) => { readonly head: ObjectHead; readonly bodyBytes: number };
  /** As that of a RangeSink. */
  readonly write: (chunk: Uint8Array) => void | Promise<void>;
  /** The store answered with an error. Its Date is for who corrects the clock. */
  readonly onRefusal: (
    error: SeekfsError,
    answer: { status: number; code: string; storeTimeMs: number },
  ) => SeekfsError;
}

function header(headers: ResponseFields, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function responseHead(status: number, headers: ResponseFields): S3ResponseHead {
  return {
    status,
    contentRange: header(headers, 'content-range'),
    contentLength: header(headers, 'content-length'),
    contentEncoding: header(headers, 'content-encoding'),
    etag: header(headers, 'etag'),
    lastModified: header(headers, 'last-modified'),
  };
}

/** The text of an element of S3's error documents. */
function element(xml: string, name: string): string {
  return new RegExp(`<${name}>([^<]{0,300})</${name}>`).exec(xml)?.[1] ?? '';
}

export class UndiciGetHandler implements GetHandler {
  /** Resolves when the whole body was taken by the sink. */
  readonly done: Promise<ObjectHead>;
  readonly #get: UndiciGet;
  readonly #resolve: (head: ObjectHead) => void;
  readonly #reject: (error: unknown) => void;
  #controller: GetControl | undefined;
  #head: ObjectHead | undefined;
  #expected: ExactLength | undefined;
  #refusal: { status: number; headers: ResponseFields; chunks: Buffer[]; bytes: number } | undefined;
  #failure: { readonly thrown: unknown } | undefined;
  #writing: Promise<void> | undefined;
  #pending = 0;

  constructor(get: UndiciGet) {
    this.#get = get;
    let settle: { resolve: (head: ObjectHead) => void; reject: (error: unknown) => void };
    this.done = new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
    this.#resolve = settle!.resolve;
    this.#reject = settle!.reject;
    if (get.signal) onAbort(get.signal, this.#onAbort);
  }

  readonly #onAbort = (): void => this.#fail(abortError(this.#get.signal!));

  #fail(thrown: unknown): void {
    if (this.#failure) return;
    this.#failure = { thrown };
    this.#controller?.abort(thrown instanceof Error ? thrown : new Error('the sink failed'));
    this.#get.signal?.removeEventListener('abort', this.#onAbort);
    this.#reject(thrown);
  }

  onRequestStart(controller: GetControl): void {
    this.#controller = controller;
    if (this.#failure) controller.abort(new Error('ended before it was sent'));
  }

  onResponseStart(_: GetControl, status: number, headers: ResponseFields): void {
    if (status < 200) return;
    if (status >= 300) {
      this.#refusal = { status, headers, chunks: [], bytes: 0 };
      return;
    }
    try {
      const { head, bodyBytes } = this.#get.accept(responseHead(status, headers));
      this.#head = head;
      this.#expected = new ExactLength(bodyBytes, this.#get.context);
    } catch (error) {
      this.#fail(error);
    }
  }

  onResponseData(controller: GetControl, chunk: Buffer): void {
    // A parser that is resumed before more has arrived says so with an empty chunk: pausing for that would spin.
    if (this.#failure || chunk.length === 0) return;
    if (this.#refusal) {
      this.#refusal.bytes += chunk.length;
      if (this.#refusal.bytes <= ERROR_BODY_BYTES_MAX) this.#refusal.chunks.push(Buffer.from(chunk));
      return;
    }
    try {
      this.#expected!.add(chunk.length);
      // The parser stands still while the sink works, so there is never a second chunk under way; only a chunk that was
      // parsed together with this one may come first.
      const writing = this.#writing ? this.#writeAfter(this.#writing, Buffer.from(chunk)) : this.#get.write(chunk);
      if (!writing) return;
      controller.pause();
      this.#writing = this.#goOn(writing, controller);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #writeAfter(writing: Promise<void>, chunk: Buffer): Promise<void> {
    await writing;
    await this.#get.write(chunk);
  }

  async #goOn(writing: Promise<void>, controller: GetControl): Promise<void> {
    this.#pending += 1;
    try {
      await writing;
    } catch (error) {
      this.#fail(error);
    }
    this.#pending -= 1;
    if (this.#pending > 0 || this.#failure) return;
    this.#writing = undefined;
    controller.resume();
  }

  onResponseEnd(): void {
    if (this.#failure) return;
    if (this.#refusal) {
      this.#fail(this.#refusalError(this.#refusal));
      return;
    }
    if (this.#writing) void this.#writing.then(() => this.#conclude());
    else this.#conclude();
  }

  onResponseError(_: GetControl, error: Error): void {
    if (this.#failure) return;
    this.#fail(networkError(error, this.#get.context));
  }

  #conclude(): void {
    if (this.#failure) return;
    try {
      this.#expected!.end();
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#get.signal?.removeEventListener('abort', this.#onAbort);
    this.#resolve(this.#head!);
  }

  #refusalError(refusal: { status: number; headers: ResponseFields; chunks: Buffer[] }): SeekfsError {
    const { status, headers } = refusal;
    const xml = Buffer.concat(refusal.chunks).toString();
    const [code, message] = [element(xml, 'Code'), element(xml, 'Message')];
    const storeTimeMs = Date.parse(header(headers, 'date') ?? '');
    const retryAfterMs = parseRetryAfterMs(header(headers, 'retry-after'), storeTimeMs);
    const error = s3Error({ status, code, message, retryAfterMs }, this.#get.context);
    return this.#get.onRefusal(error, { status, code, storeTimeMs });
  }
}
