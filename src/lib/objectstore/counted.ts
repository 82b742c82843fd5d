// The decorator that counts requests for engines that send none over a network (the S3 engines count for themselves, since
// one put or listing of theirs may be many requests). So `--stats` means the same on every store.
import { ForwardingObjectStore } from './forwarding.ts';
import type {
  DescriptorBytes,
  GetRangeRequest,
  GetWholeRequest,
  ListRequest,
  ObjectHead,
  ObjectListing,
  ObjectStore,
  PutRequest,
  RangeSink,
  WholeObject,
} from './object-store.ts';
import type { RequestCounter } from './request-counter.ts';

export class CountedObjectStore extends ForwardingObjectStore {
  readonly #counter: RequestCounter;

  constructor(inner: ObjectStore, counter: RequestCounter) {
    super(inner);
    this.#counter = counter;
  }

  override head(request: { key: string; signal?: AbortSignal | undefined }): Promise<ObjectHead> {
    this.#counter.head();
    return this.inner.head(request);
  }

  override getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    const { purpose } = request;
    this.#counter.get(purpose);
    const write = (chunk: Uint8Array): void | Promise<void> => {
      this.#counter.bytes(purpose, chunk.byteLength);
      return sink.write(chunk);
    };
    const take =
      sink.take &&
      (async (bytes: DescriptorBytes): Promise<number> => {
        const taken = await sink.take!(bytes);
        this.#counter.bytes(purpose, taken);
        return taken;
      });
    return this.inner.getRange(request, { write, take });
  }

  override async getWhole(request: GetWholeRequest): Promise<WholeObject> {
    this.#counter.get(request.purpose);
    const object = await this.inner.getWhole(request);
    this.#counter.bytes(request.purpose, object.sizeBytes);
    return object;
  }

  override put(request: PutRequest): Promise<{ etag: string }> {
    this.#counter.put();
    return this.inner.put(request);
  }

  override async *list(request: ListRequest): AsyncGenerator<readonly ObjectListing[]> {
    this.#counter.list();
    let pages = 0;
    for await (const page of this.inner.list(request)) {
      if (pages > 0) this.#counter.list();
      pages += 1;
      yield page;
    }
  }

  override delete(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void> {
    if (request.keys.length > 0) this.#counter.delete();
    return this.inner.delete(request);
  }
}
