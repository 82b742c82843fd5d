// A store that hands every request on: what decorators extend, overriding only what they are about.
import type {
  ConditionalWrites,
  ExhaustedBudget,
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

export class ForwardingObjectStore implements ObjectStore {
  readonly inner: ObjectStore;

  constructor(inner: ObjectStore) {
    this.inner = inner;
  }

  get url(): string {
    return this.inner.url;
  }

  get exhausted(): ExhaustedBudget | undefined {
    return this.inner.exhausted;
  }

  head(request: { key: string; signal?: AbortSignal | undefined }): Promise<ObjectHead> {
    return this.inner.head(request);
  }

  getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    return this.inner.getRange(request, sink);
  }

  getWhole(request: GetWholeRequest): Promise<WholeObject> {
    return this.inner.getWhole(request);
  }

  put(request: PutRequest): Promise<{ etag: string }> {
    return this.inner.put(request);
  }

  async makeDurable(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void> {
    await this.inner.makeDurable?.(request);
  }

  async abortUpload(request: { key: string; uploadId: string; signal?: AbortSignal | undefined }): Promise<void> {
    await this.inner.abortUpload?.(request);
  }

  async listUploads(request: { prefix: string; signal?: AbortSignal | undefined }): Promise<readonly UploadListing[]> {
    return (await this.inner.listUploads?.(request)) ?? [];
  }

  list(request: ListRequest): AsyncIterable<readonly ObjectListing[]> {
    return this.inner.list(request);
  }

  delete(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void> {
    return this.inner.delete(request);
  }

  presign(request: { key: string; expiresS: number }): Promise<string> {
    return this.inner.presign(request);
  }

  probeConditionalWrites(request: { prefix: string; signal?: AbortSignal | undefined }): Promise<ConditionalWrites> {
    return this.inner.probeConditionalWrites(request);
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
