// An object store in this process. It is the reference for what the contract means; it keeps copies, so callers may reuse
// their buffers.
import { createHash } from 'node:crypto';
import { rangeEnd } from '../../src/lib/base/byte-range.ts';
import { systemClock, type Clock } from '../../src/lib/base/clock.ts';
import { SeekfsError, throwIfAborted } from '../../src/lib/base/errors.ts';
import { KIB } from '../../src/lib/base/units.ts';
import { probeConditionalWrites } from '../../src/lib/objectstore/conditional-probe.ts';
import { checkKey, compareKeys } from '../../src/lib/objectstore/key.ts';
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
  WholeObject,
} from '../../src/lib/objectstore/object-store.ts';
import {
  checkRange,
  checkRangeWithin,
  objectChanged,
  objectNotFound,
  preconditionFailed,
  readSource,
  sourceSizeBytes,
  tooLarge,
} from '../../src/lib/objectstore/source.ts';

const CHUNK_BYTES = 64 * KIB;
const LIST_PAGE_LENGTH = 1000;

export class MemoryObjectStore implements ObjectStore {
  readonly url: string;
  readonly #objects = new Map<string, WholeObject>();
  readonly #clock: Clock;
  #writes = 0;

  constructor(options: { name?: string; clock?: Clock } = {}) {
    this.url = `memory://${options.name ?? 'store'}`;
    this.#clock = options.clock ?? systemClock;
  }

  #find(key: string): WholeObject {
    checkKey(key);
    const object = this.#objects.get(key);
    if (!object) throw objectNotFound(key, this.url);
    return object;
  }

  async head(request: { key: string; signal?: AbortSignal | undefined }): Promise<ObjectHead> {
    throwIfAborted(request.signal);
    const { key, sizeBytes, etag, modifiedAtMs } = this.#find(request.key);
    return { key, sizeBytes, etag, modifiedAtMs };
  }

  async getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    const { key, range, ifMatch, signal } = request;
    checkRange(key, range);
    throwIfAborted(signal);
    const object = this.#find(key);
    if (ifMatch !== undefined && ifMatch !== object.etag) throw objectChanged(key, ifMatch, object.etag);
    checkRangeWithin(key, range, object.sizeBytes);
    const head = { key, sizeBytes: object.sizeBytes, etag: object.etag, modifiedAtMs: object.modifiedAtMs };
    request.onHead?.(head);
    for (let off = range.off; off < rangeEnd(range); off += CHUNK_BYTES) {
      throwIfAborted(signal);
      const chunk = object.bytes.subarray(off, Math.min(off + CHUNK_BYTES, rangeEnd(range)));
      await sink.write(Uint8Array.prototype.slice.call(chunk));
    }
    return head;
  }

  async getWhole(request: GetWholeRequest): Promise<WholeObject> {
    throwIfAborted(request.signal);
    const object = this.#find(request.key);
    if (object.sizeBytes > request.sizeBytesMax) throw tooLarge(request.key, object.sizeBytes, request.sizeBytesMax);
    return { ...object, bytes: Buffer.from(object.bytes) };
  }

  async put(request: PutRequest): Promise<{ etag: string }> {
    const { key, source, condition, signal, onProgress } = request;
    checkKey(key);
    const sizeBytes = sourceSizeBytes(source);
    const chunks: Uint8Array[] = [];
    let takenBytes = 0;
    for await (const chunk of readSource(source, { off: 0, len: sizeBytes }, { key, signal })) {
      chunks.push(Uint8Array.prototype.slice.call(chunk));
      takenBytes += chunk.byteLength;
      onProgress?.(takenBytes);
    }
    throwIfAborted(signal);
    const current = this.#objects.get(key);
    if (condition.kind === 'absent' && current) throw preconditionFailed(key, 'absent');
    if (condition.kind === 'match' && current?.etag !== condition.etag) throw preconditionFailed(key, 'match');
    const bytes = Buffer.concat(chunks);
    this.#writes += 1;
    const digest = createHash('sha256').update(`${this.#writes}:`).update(bytes).digest('hex');
    const etag = `"${digest.slice(0, 32)}"`;
    this.#objects.set(key, { key, sizeBytes, etag, modifiedAtMs: this.#clock.nowMs(), bytes });
    return { etag };
  }

  async *list(request: ListRequest): AsyncGenerator<readonly ObjectListing[]> {
    const { prefix, startAfter, signal } = request;
    const keys = [...this.#objects.keys()]
      .filter((key) => key.startsWith(prefix) && (startAfter === undefined || compareKeys(key, startAfter) > 0))
      .sort(compareKeys);
    for (let start = 0; start < keys.length; start += LIST_PAGE_LENGTH) {
      throwIfAborted(signal);
      const page: ObjectListing[] = [];
      for (const key of keys.slice(start, start + LIST_PAGE_LENGTH)) {
        const object = this.#objects.get(key);
        if (object)
          page.push({ key, sizeBytes: object.sizeBytes, etag: object.etag, modifiedAtMs: object.modifiedAtMs });
      }
      yield page;
    }
  }

  async delete(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void> {
    throwIfAborted(request.signal);
    for (const key of request.keys) this.#objects.delete(key);
  }

  presign(request: { key: string }): Promise<string> {
    return Promise.reject(
      new SeekfsError(
        'usage',
        `"${request.key}" has no URL: ${this.url} is not served over HTTP; presign needs an S3 store`,
      ),
    );
  }

  probeConditionalWrites(request: { prefix: string; signal?: AbortSignal | undefined }): Promise<ConditionalWrites> {
    return probeConditionalWrites(this, request);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
