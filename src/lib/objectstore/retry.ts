// The decorator that sends again what may succeed the second time. A ranged get goes on behind the last byte that the
// sink took, from the same state of the object; a listing goes on behind its last key; a conditional put that may have
// been carried out before its answer was lost is told from one that another writer was faster with.
import { isSeekfsError } from '../base/errors.ts';
import { KIB } from '../base/units.ts';
import { probeConditionalWrites } from './conditional-probe.ts';
import { ForwardingObjectStore } from './forwarding.ts';
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
import { withRetries, type RetryPolicy } from './retry-policy.ts';

/** An attempt that brought this much begins a new count of attempts: large ranges outlive more than three breaks. */
const PROGRESS_BYTES_MIN = 64 * KIB;

export class RetryingObjectStore extends ForwardingObjectStore {
  readonly #policy: RetryPolicy;
  #probed: Promise<ConditionalWrites> | undefined;

  constructor(inner: ObjectStore, policy: RetryPolicy) {
    super(inner);
    this.#policy = policy;
  }

  override head(request: { key: string; signal?: AbortSignal | undefined }): Promise<ObjectHead> {
    return withRetries(this.#policy, request, () => this.inner.head(request));
  }

  override async getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    const { range, signal } = request;
    let { ifMatch } = request;
    let deliveredBytes = 0;
    let deliveredBefore = 0;
    let sinkFailure: { readonly thrown: unknown } | undefined;
    const failed = (thrown: unknown): never => {
      sinkFailure = { thrown };
      throw thrown;
    };
    // No promise where the sink needs none: this is called for every chunk of every page.
    const write = (chunk: Uint8Array): void | Promise<void> => {
      const { byteLength } = chunk;
      let writing: void | Promise<void>;
      try {
        writing = sink.write(chunk);
      } catch (thrown) {
        return failed(thrown);
      }
      if (writing) return writing.then(() => void (deliveredBytes += byteLength), failed);
      deliveredBytes += byteLength;
      return undefined;
    };
    let head: ObjectHead | undefined;
    const onHead = (seen: ObjectHead): void => {
      head = seen;
      ifMatch ??= seen.etag;
      request.onHead?.(seen);
    };
    const progressed = (): boolean => {
      const gainedBytes = deliveredBytes - deliveredBefore;
      deliveredBefore = deliveredBytes;
      return gainedBytes >= PROGRESS_BYTES_MIN;
    };
    await withRetries(this.#policy, { signal, progressed }, async () => {
      const rest = { off: range.off + deliveredBytes, len: range.len - deliveredBytes };
      if (rest.len === 0 && deliveredBytes > 0) {
        // The attempt failed behind its last byte.
        head ??= await this.inner.head({ key: request.key, signal });
        return;
      }
      try {
        const attempt = { ...request, range: rest, ifMatch, onHead };
        head = await this.inner.getRange(attempt, { write });
      } catch (error) {
        // Not for the store to mend, whatever its code.
        if (!sinkFailure) throw error;
      }
    });
    if (sinkFailure) throw sinkFailure.thrown;
    return head!;
  }

  override getWhole(request: GetWholeRequest): Promise<WholeObject> {
    return withRetries(this.#policy, request, () => this.inner.getWhole(request));
  }

  override put(request: PutRequest): Promise<{ etag: string }> {
    let unanswered = false;
    return withRetries(this.#policy, request, async () => {
      try {
        return await this.inner.put(request);
      } catch (error) {
        if (unanswered && isSeekfsError(error, 'precondition_failed')) {
          const mine = await this.#findOwn(request).catch(unlessGone);
          if (mine) return mine;
        }
        unanswered ||= isSeekfsError(error, 'store_unavailable');
        throw error;
      }
    });
  }

  override abortUpload(request: { key: string; uploadId: string; signal?: AbortSignal | undefined }): Promise<void> {
    return withRetries(this.#policy, request, () => this.inner.abortUpload?.(request) ?? Promise.resolve());
  }

  override listUploads(request: {
    prefix: string;
    signal?: AbortSignal | undefined;
  }): Promise<readonly UploadListing[]> {
    return withRetries(this.#policy, request, () => this.inner.listUploads?.(request) ?? Promise.resolve([]));
  }

  override async *list(request: ListRequest): AsyncGenerator<readonly ObjectListing[]> {
    let { startAfter } = request;
    let pages: AsyncIterator<readonly ObjectListing[]> | undefined;
    try {
      for (;;) {
        const next = await withRetries(this.#policy, request, async () => {
          pages ??= this.inner.list({ ...request, startAfter })[Symbol.asyncIterator]();
          try {
            return await pages.next();
          } catch (error) {
            pages = undefined;
            throw error;
          }
        });
        if (next.done) return;
        startAfter = next.value.at(-1)?.key ?? startAfter;
        yield next.value;
      }
    } finally {
      await pages?.return?.();
    }
  }

  override delete(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void> {
    return withRetries(this.#policy, request, () => this.inner.delete(request));
  }

  override probeConditionalWrites(request: {
    prefix: string;
    signal?: AbortSignal | undefined;
  }): Promise<ConditionalWrites> {
    this.#probed ??= probeConditionalWrites(this, request).catch((error: unknown) => {
      this.#probed = undefined;
      throw error;
    });
    return this.#probed;
  }

  /** The object, when it has exactly the bytes of this put: then an earlier attempt was carried out. */
  async #findOwn(request: PutRequest): Promise<{ etag: string } | undefined> {
    const { key, source, signal } = request;
    if (source.kind !== 'bytes') return undefined;
    const { bytes } = source;
    const current = await this.inner.head({ key, signal });
    if (current.sizeBytes !== bytes.byteLength) return undefined;
    if (bytes.byteLength === 0) return { etag: current.etag };
    let comparedBytes = 0;
    let same = true;
    const write = (chunk: Uint8Array): void => {
      const expected = bytes.subarray(comparedBytes, comparedBytes + chunk.byteLength);
      same &&= Buffer.compare(chunk, expected) === 0;
      comparedBytes += chunk.byteLength;
    };
    const range = { off: 0, len: bytes.byteLength };
    await this.inner.getRange({ key, range, ifMatch: current.etag, purpose: 'meta', signal }, { write });
    return same ? { etag: current.etag } : undefined;
  }
}

/** Replaced or removed while it was looked at: what is there now is not what was put. */
function unlessGone(error: unknown): undefined {
  if (!isSeekfsError(error, 'object_changed') && !isSeekfsError(error, 'object_not_found')) throw error;
}
