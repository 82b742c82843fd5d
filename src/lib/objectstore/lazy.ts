// A store whose engine is loaded with its first request: a command that finds all it needs in the cache loads none.
import type { ObjectStore } from './object-store.ts';
import type {
  ConditionalWrites,
  ExhaustedBudget,
  GetRangeRequest,
  GetWholeRequest,
  ListRequest,
  ObjectHead,
  ObjectListing,
  PutRequest,
  RangeSink,
  UploadListing,
  WholeObject,
} from './object-store.ts';

export class LazyObjectStore implements ObjectStore {
  readonly url: string;
  readonly #load: () => Promise<ObjectStore>;
  #loading: Promise<ObjectStore> | undefined;
  #loaded: ObjectStore | undefined;

  constructor(url: string, load: () => Promise<ObjectStore>) {
    this.url = url;
    this.#load = load;
  }

  #store(): Promise<ObjectStore> {
    return (this.#loading ??= this.#load().then((store) => (this.#loaded = store)));
  }

  get exhausted(): ExhaustedBudget | undefined {
    return this.#loaded?.exhausted;
  }

  async head(request: { key: string; signal?: AbortSignal | undefined }): Promise<ObjectHead> {
    return (await this.#store()).head(request);
  }

  async getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    return (await this.#store()).getRange(request, sink);
  }

  async getWhole(request: GetWholeRequest): Promise<WholeObject> {
    return (await this.#store()).getWhole(request);
  }

  async put(request: PutRequest): Promise<{ etag: string }> {
    return (await this.#store()).put(request);
  }

  async makeDurable(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void> {
    await (await this.#store()).makeDurable?.(request);
  }

  async abortUpload(request: { key: string; uploadId: string; signal?: AbortSignal | undefined }): Promise<void> {
    await (await this.#store()).abortUpload?.(request);
  }

  async listUploads(request: { prefix: string; signal?: AbortSignal | undefined }): Promise<readonly UploadListing[]> {
    return (await (await this.#store()).listUploads?.(request)) ?? [];
  }

  async *list(request: ListRequest): AsyncGenerator<readonly ObjectListing[]> {
    yield* (await this.#store()).list(request);
  }

  async delete(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void> {
    return (await this.#store()).delete(request);
  }

  async presign(request: { key: string; expiresS: number }): Promise<string> {
    return (await this.#store()).presign(request);
  }

  async probeConditionalWrites(request: {
    prefix: string;
    signal?: AbortSignal | undefined;
  }): Promise<ConditionalWrites> {
    return (await this.#store()).probeConditionalWrites(request);
  }

  async close(): Promise<void> {
    await (await this.#loading)?.close();
  }
}
