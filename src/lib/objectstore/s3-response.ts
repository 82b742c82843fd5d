// Checks that the answer to a GET is the one that was asked for: status, range, length and ETag before the first byte,
// and exactly so many bytes afterwards. A store, or something between it and us, that answers anything else is an error.
import { rangeEnd, type ByteRange } from '../base/byte-range.ts';
import { badAnswer, type S3Context } from './s3-errors.ts';
import { checkRangeWithin, objectChanged } from './source.ts';
import type { ObjectHead } from './object-store.ts';

/** The headers that matter, as text. */
export interface S3ResponseHead {
  readonly status: number;
  readonly contentRange: string | undefined;
  readonly contentLength: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

/** Quotes where a store leaves them out. */
export function normalizeEtag(etag: string): string {
  return etag === '' || etag.endsWith('"') ? etag : `"${etag}"`;
}

function parseLength(response: S3ResponseHead, context: S3Context): number {
  const { contentLength, contentEncoding } = response;
  if (contentLength === undefined || !/^\d{1,16}$/.test(contentLength)) {
    const encoded = contentEncoding ? ` of a body encoded with ${contentEncoding}` : '';
    throw badAnswer(`did not say the length${encoded}`, context);
  }
  return Number(contentLength);
}

function headOf(response: S3ResponseHead, sizeBytes: number, context: S3Context): ObjectHead {
  if (!response.etag) throw badAnswer('answered without an ETag', context);
  const modifiedAtMs = Date.parse(response.lastModified ?? '');
  return {
    key: context.key!,
    sizeBytes,
    etag: normalizeEtag(response.etag),
    modifiedAtMs: Number.isNaN(modifiedAtMs) ? 0 : modifiedAtMs,
  };
}

/**
 * The object's head, from the answer to a ranged GET.
 * @throws store_unavailable, range_not_satisfiable (the object ends before the range), object_changed
 */
export function checkRangeAnswer(
  response: S3ResponseHead,
  request: { range: ByteRange; ifMatch?: string | undefined },
  context: S3Context,
): ObjectHead {
  const { range, ifMatch } = request;
  if (response.status !== 206) throw badAnswer(`answered ${response.status} to a ranged GET, expected 206`, context);
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/.exec(response.contentRange ?? '');
  if (!match) throw badAnswer(`answered with Content-Range "${response.contentRange ?? ''}"`, context);
  const [first, last, sizeBytes] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const head = headOf(response, sizeBytes, context);
  if (ifMatch !== undefined && head.etag !== normalizeEtag(ifMatch)) throw objectChanged(head.key, ifMatch, head.etag);
  checkRangeWithin(head.key, range, sizeBytes);
  if (first !== range.off || last !== rangeEnd(range) - 1) {
    throw badAnswer(`answered bytes ${first}-${last}, expected ${range.off}-${rangeEnd(range) - 1}`, context);
  }
  // Content-Encoding alone proves nothing: it may be metadata that was stored with the object, whose bytes these are. A
  // body that was encoded on the way has another length, or none.
  const length = parseLength(response, context);
  if (length !== range.len) throw badAnswer(`announced ${length} bytes, expected ${range.len}`, context);
  return head;
}

/** The head from the answer to a GET of the whole object, or to a head request. @throws store_unavailable */
export function checkWholeAnswer(response: S3ResponseHead, context: S3Context): ObjectHead {
  if (response.status !== 200) throw badAnswer(`answered ${response.status}, expected 200`, context);
  return headOf(response, parseLength(response, context), context);
}

/** A whole object whose answer says that it is encoded: its length may be that of the encoding, or the object's own. */
export class EncodedAnswer extends Error {
  readonly head: ObjectHead;

  constructor(head: ObjectHead) {
    super('the answer is encoded');
    this.head = head;
  }
}

/** @throws EncodedAnswer */
export function checkNotEncoded(response: S3ResponseHead, head: ObjectHead): void {
  const encoding = response.contentEncoding ?? '';
  if (encoding !== '' && encoding !== 'identity' && encoding !== 'aws-chunked') throw new EncodedAnswer(head);
}

/** Counts a body against its announced length. */
export class ExactLength {
  readonly #expectedBytes: number;
  readonly #context: S3Context;
  #arrivedBytes = 0;

  constructor(expectedBytes: number, context: S3Context) {
    this.#expectedBytes = expectedBytes;
    this.#context = context;
  }

  /** @throws store_unavailable for a byte too many, before any of the chunk is delivered */
  add(chunkBytes: number): void {
    this.#arrivedBytes += chunkBytes;
    if (this.#arrivedBytes <= this.#expectedBytes) return;
    throw badAnswer(`sent more than the ${this.#expectedBytes} bytes asked for`, this.#context);
  }

  /** @throws store_unavailable for a body that ended early */
  end(): void {
    if (this.#arrivedBytes === this.#expectedBytes) return;
    throw badAnswer(`sent ${this.#arrivedBytes} bytes, expected ${this.#expectedBytes}`, this.#context);
  }
}
