// A store that fails as the script says, before or after the store behind it did its part: for tests of decorators.
import { ForwardingObjectStore } from '../../src/lib/objectstore/forwarding.ts';
import type {
  GetRangeRequest,
  ListRequest,
  ObjectHead,
  ObjectListing,
  ObjectStore,
  PutRequest,
  RangeSink,
} from '../../src/lib/objectstore/object-store.ts';

export interface Fault {
  readonly error: Error;
  /** How many bytes of a ranged get arrive first, or how many keys of a listing; default none. */
  readonly after?: number;
  /** The put is carried out, and only its answer is lost. */
  readonly carriedOut?: boolean;
}

export class ScriptedStore extends ForwardingObjectStore {
  /** One entry a request of any kind; undefined and the end of the list: no fault. */
  readonly faults: (Fault | undefined)[];
  readonly requests: string[] = [];

  constructor(inner: ObjectStore, faults: (Fault | undefined)[]) {
    super(inner);
    this.faults = faults;
  }

  override async getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    const { off, len } = request.range;
    this.requests.push(`GET ${off}+${len}${request.ifMatch === undefined ? '' : ' If-Match'}`);
    const fault = this.faults.shift();
    if (!fault) return this.inner.getRange(request, sink);
    if (fault.after) await this.inner.getRange({ ...request, range: { off, len: fault.after } }, sink);
    throw fault.error;
  }

  override async head(request: { key: string }): Promise<ObjectHead> {
    this.requests.push('HEAD');
    const fault = this.faults.shift();
    if (fault) throw fault.error;
    return this.inner.head(request);
  }

  override async put(request: PutRequest): Promise<{ etag: string }> {
    this.requests.push('PUT');
    const fault = this.faults.shift();
    if (!fault) return this.inner.put(request);
    if (fault.carriedOut) await this.inner.put(request);
    throw fault.error;
  }

  override async *list(request: ListRequest): AsyncGenerator<readonly ObjectListing[]> {
    this.requests.push(`LIST ${request.startAfter ?? ''}`);
    const fault = this.faults.shift();
    for await (const page of this.inner.list(request)) {
      yield fault ? page.slice(0, fault.after ?? 0) : page;
      if (fault) throw fault.error;
    }
  }
}
