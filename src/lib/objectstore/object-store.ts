// The contract of an object store as seekfs needs it: S3 semantics, nothing more. Engines: `sdk`, `undici`,
// `directory`, and one in memory for tests; decorators: `retry`, `budget`. One conformance suite (test/support) runs over
// all of them.
//
// Keys are 1 to 1,024 bytes of UTF-8 without NUL. Every method throws SeekfsError only: object_not_found,
// bucket_not_found, access_denied, object_changed (If-Match on a read), precondition_failed (a condition on a put),
// store_unavailable, store_throttled, disk_full, interrupted (the signal), usage (a key that cannot exist).
import type { ByteRange } from '../base/byte-range.ts';
import type { Lane } from '../base/memory.ts';

export interface ObjectHead {
  readonly key: string;
  readonly sizeBytes: number;
  /** As the store gave it, quotes included. */
  readonly etag: string;
  readonly modifiedAtMs: number;
}

export type ObjectListing = Pick<ObjectHead, 'key' | 'sizeBytes' | 'etag' | 'modifiedAtMs'>;

/** Bytes of an open local file, as its descriptor gives them to any thread of the process. */
export interface DescriptorBytes {
  readonly fd: number;
  readonly off: number;
  readonly len: number;
}

/** Where the bytes of a ranged GET go, in order. */
export interface RangeSink {
  /**
   * Consumes a chunk before it returns: the engine reuses the memory at once, so what is needed later is to be copied.
   * A returned promise holds the connection back.
   */
  write(chunk: Uint8Array): void | Promise<void>;
  /**
   * Takes bytes of the range itself, where the engine has them in a local file and asks for it instead of writing them.
   * Resolves with how many there were, fewer only at the end of the file; the engine keeps the file open so long.
   * An engine or a decorator that knows nothing of it writes.
   */
  take?: ((bytes: DescriptorBytes) => Promise<number>) | undefined;
}

export interface GetRangeRequest {
  readonly key: string;
  readonly range: ByteRange;
  /** ETag that the object must have, in the store's own form; else object_changed. */
  readonly ifMatch?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What the bytes are, for the counters: those of files' objects, or HEAD, manifests and indexes. */
  readonly purpose: 'file' | 'meta';
  /** Called once per attempt before the first byte reaches the sink: the state of the object that the bytes are of. */
  readonly onHead?: ((head: ObjectHead) => void) | undefined;
  /** Default demand. Aborting is not the way up: `promotion` moves a queued request to the demand lane. */
  readonly lane?: Lane | undefined;
  /** Aborted (fired) when a demand read begins to wait for this speculative request. */
  readonly promotion?: AbortSignal | undefined;
}

export interface GetWholeRequest {
  readonly key: string;
  /** A larger object is store_unavailable ("larger than expected"): nothing is read without a bound. */
  readonly sizeBytesMax: number;
  readonly purpose: 'file' | 'meta';
  readonly signal?: AbortSignal | undefined;
}

export interface WholeObject extends ObjectHead {
  readonly bytes: Buffer;
}

/** The bytes of a put. A stream can be opened again at any offset, for retries and parts. */
export type PutSource =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'stream';
      readonly sizeBytes: number;
      readonly open: (range: ByteRange) => AsyncIterable<Uint8Array>;
      /** Of what `open` gives for the range, known before it is read; undefined for ranges of which it is not. */
      readonly crc32cOf?: ((range: ByteRange) => number | undefined) | undefined;
    };

/** `none`: overwrite; `absent`: If-None-Match: *; `match`: If-Match with that ETag. */
export type PutCondition =
  { readonly kind: 'none' } | { readonly kind: 'absent' } | { readonly kind: 'match'; readonly etag: string };

/** A multipart put under way: the store knows it by its id until it is completed or aborted. */
export interface Upload {
  readonly uploadId: string;
  /** Of every part but the last. */
  readonly partBytes: number;
}

/**
 * Remembers one multipart put for longer than the process lives, so that the next put of **the same bytes** under the
 * same key sends only the parts that are missing. None of its methods throws.
 */
export interface UploadMemory {
  /** The upload that a put has begun and not ended, with the ETags that the store gave its parts, by their numbers. */
  recall(): { readonly upload: Upload; readonly etags: ReadonlyMap<number, string> } | undefined;
  begin(upload: Upload): Promise<void>;
  add(upload: Upload, part: { readonly partNumber: number; readonly etag: string }): Promise<void>;
  /** The upload was completed or aborted, or the store does not know it. */
  forget(): Promise<void>;
}

/** A multipart put that was begun, and neither completed nor aborted. */
export interface UploadListing {
  readonly key: string;
  readonly uploadId: string;
  /** By the store's clock. */
  readonly begunAtMs: number;
}

export interface PutRequest {
  readonly key: string;
  readonly source: PutSource;
  readonly condition: PutCondition;
  /** The object must survive a power loss once put resolves (S3 stores always promise it). */
  readonly durable: boolean;
  readonly contentType?: string | undefined;
  /** With it a multipart put goes on where an interrupted one stopped, and is not aborted when it is interrupted. */
  readonly uploads?: UploadMemory | undefined;
  /** Bytes that the store has taken so far, for progress bars. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ListRequest {
  readonly prefix: string;
  /** Keys after this one only, in UTF-8 byte order. */
  readonly startAfter?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a probe of a store's conditional writes found; publishing wants both. */
export interface ConditionalWrites {
  readonly ifNoneMatch: boolean;
  readonly ifMatch: boolean;
}

/** What a budget of GETs has run out of for now: requests, or bytes. */
export type ExhaustedBudget = 'gets' | 'bytes';

export interface ObjectStore {
  /** For messages and cache identity: "file:///dir", "s3://bucket" with the endpoint's host; no secret in it. */
  readonly url: string;
  /** Set while a GET would have to wait for its budget: nobody should fetch what is not needed now. */
  readonly exhausted?: ExhaustedBudget | undefined;
  head(request: { key: string; signal?: AbortSignal | undefined }): Promise<ObjectHead>;
  /** Delivers exactly `range.len` bytes (at least 1) to the sink and resolves with the object's head, or throws. */
  getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead>;
  getWhole(request: GetWholeRequest): Promise<WholeObject>;
  /** Atomic: the object is there whole or not at all. Past 64 MiB a multipart put where the store has them. */
  put(request: PutRequest): Promise<{ etag: string }>;
  /**
   * Makes objects durable that were put with `durable` false, many at once for less than one by one.
   * Absent where every put is durable when it resolves.
   */
  makeDurable?(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void>;
  /** Gives up a multipart put with its parts; one that the store does not know is no error. Absent: there are none. */
  abortUpload?(request: { key: string; uploadId: string; signal?: AbortSignal | undefined }): Promise<void>;
  /** All that were begun under the prefix and not ended, by anybody. Absent: there are none. */
  listUploads?(request: { prefix: string; signal?: AbortSignal | undefined }): Promise<readonly UploadListing[]>;
  /** Pages of listings in UTF-8 byte order of their keys. */
  list(request: ListRequest): AsyncIterable<readonly ObjectListing[]>;
  /** Deleting what is not there is no error. */
  delete(request: { keys: readonly string[]; signal?: AbortSignal | undefined }): Promise<void>;
  /** @throws usage where the engine has no URLs */
  presign(request: { key: string; expiresS: number }): Promise<string>;
  /** Tries the conditions on a scratch object under `prefix` and removes it; remembered for the life of the store. */
  probeConditionalWrites(request: { prefix: string; signal?: AbortSignal | undefined }): Promise<ConditionalWrites>;
  close(): Promise<void>;
}
