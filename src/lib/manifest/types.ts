// The manifest as the library sees it. The JSON form and its rules are in entry-json.ts and codec.ts; key names in
// key-layout.ts.
import type { ByteRange } from '../base/byte-range.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';

export type JsonFields = Readonly<Record<string, unknown>>;

export interface PageEntry extends ByteRange {
  readonly pageId: number;
  /** Undefined in manifests that were written without checksums. */
  readonly crc32c: number | undefined;
}

/** Where a file's bytes are. */
export interface StorageLocation {
  readonly key: string;
  readonly etag: string | undefined;
  readonly sse: string | undefined;
  /** Of the file's first byte in the object; 0 unless the file is packed in a shard. */
  readonly off: number;
}

export interface FileEntry {
  readonly path: string;
  readonly sizeBytes: number;
  /** "sha256:<hex>"; undefined in manifests that were written without. */
  readonly hash: string | undefined;
  readonly storage: StorageLocation;
  /** In order; they cover [0, sizeBytes) exactly. Empty for an empty file. */
  readonly pages: readonly PageEntry[];
  /**
   * CRC32C of every granule of the file, page by page (each page begins a new granule), if the publisher gave them.
   * Undefined also where every page is one granule: the page's CRC says the same.
   */
  readonly granuleCrcs: Uint32Array | undefined;
  /** Modification time at the source, milliseconds since the epoch. */
  readonly modifiedAtMs: number | undefined;
  /** Fields of the entry (and under `storage`, of its location) that we do not know, kept for writers that copy it. */
  readonly extra: JsonFields | undefined;
}

/** The compiled index that was published beside a manifest. */
export interface PublishedIndex {
  readonly key: string;
  /** "sha256:<hex>" */
  readonly digest: string;
  readonly sizeBytes: number;
}

export interface ManifestHeader {
  readonly version: number;
  readonly parents: readonly number[];
  readonly tombstones: readonly string[];
  /** Unix seconds. */
  readonly createdAtS: number;
  /** Random: tells two publishers apart that wrote the same content. Only manifests of ours have it. */
  readonly publishId: string | undefined;
  readonly index: PublishedIndex | undefined;
}

/** One immutable version, open for reading. Lookups and listings cost no request once it is open. */
export interface PinnedVersion {
  readonly ns: string;
  readonly version: number;
  /** "sha256:<hex>" of the manifest object. */
  readonly digest: string;
  readonly header: ManifestHeader;
  readonly fileCount: number;
  readonly totalBytes: number;
  /** Without a promise where it was looked up lately. @throws path_not_found, by the promise */
  lookup(path: string): MaybePromise<FileEntry>;
  /** In UTF-8 byte order of paths. */
  list(options?: { prefix?: string | undefined; startAfter?: string | undefined }): AsyncIterable<FileEntry>;
  close(): Promise<void>;
}

/** What the user asked for: the current version, a number, or a number with the digest it must have. */
export type VersionSelector =
  | { readonly kind: 'head' }
  | { readonly kind: 'version'; readonly version: number; readonly digest?: string | undefined };
