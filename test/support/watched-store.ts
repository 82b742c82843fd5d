// An object store that remembers the GETs that pass through it, and that a test can hold back, cut or spoil.
import type {
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

export class WatchedStore implements ObjectStore {
  readonly #inner: ObjectStore;
  /** Ranged GETs of files' objects, in order of arrival. */
  readonly gets: GetRangeRequest[] = [];
  heads = 0;
  aborted = 0;
  active = 0;
  activeMax = 0;
  /** Runs before a GET is answered: where a test waits or throws. */
  beforeGet: ((request: GetRangeRequest) => void | Promise<void>) | undefined;
  /** Changes bytes on their way; `off` is of the chunk in the object. */
  spoil: ((chunk: Uint8Array, off: number, request: GetRangeRequest) => void) | undefined;

  constructor(inner: ObjectStore) {
    this.#inner = inner;
  }

  get url(): string {
    return this.#inner.url;
  }

  get gotBytes(): number {
    return this.gets.reduce((sum, { range }) => sum + range.len, 0);
  }

  head(request: { key: string; signal?: AbortSignal | undefined }): Promise<ObjectHead> {
    this.heads += 1;
    return this.#inner.head(request);
  }

  async getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    this.gets.push(request);
    this.active += 1;
    this.activeMax = Math.max(this.activeMax, this.active);
    request.signal?.addEventListener('abort', () => (this.aborted += 1));
    try {
      await this.beforeGet?.(request);
      let off = request.range.off;
      return await this.#inner.getRange(request, {
        write: (chunk) => {
          this.spoil?.(chunk, off, request);
          off += chunk.length;
          return sink.write(chunk);
        },
      });
    } finally {
      this.active -= 1;
    }
  }

  getWhole(request: GetWholeRequest): Promise<WholeObject> {
    return this.#inner.getWhole(request);
  }

  put(request: PutRequest): Promise<{ etag: string }> {
    return this.#inner.put(request);
  }

  list(request: ListRequest): AsyncIterable<readonly ObjectListing[]> {
    return this.#inner.list(request);
  }

  delete(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void> {
    return this.#inner.delete(request);
  }

  presign(request: { key: string; expiresS: number }): Promise<string> {
    return this.#inner.presign(request);
  }

  probeConditionalWrites(request: {
    prefix: string;
    signal?: AbortSignal | undefined;
  }): ReturnType<ObjectStore['probeConditionalWrites']> {
    return this.#inner.probeConditionalWrites(request);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
