// The typed configuration: what every key means once it is loaded, with units resolved. The loader (load.ts) makes it.
import type { LogLevel } from '../base/log.ts';
import type { SettingKey } from './schema.ts';

export type StoreTarget =
  | { readonly kind: 'directory'; readonly rootPath: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly s3: S3Config };

export interface S3Config {
  readonly engine: 'sdk' | 'undici';
  /** Undefined: AWS's own, by region. */
  readonly endpoint: string | undefined;
  readonly region: string;
  /** Undefined: the AWS default credential chain. */
  readonly credentials:
    | { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken: string | undefined }
    | undefined;
  /** Path-style addressing; default: true where an endpoint is set. */
  readonly forcePathStyle: boolean;
  readonly caFile: string | undefined;
  /** From HTTPS_PROXY, HTTP_PROXY and NO_PROXY; undefined: direct. */
  readonly proxy: string | undefined;
  readonly getBudgetPerSec: number;
  /** Undefined: no ceiling. */
  readonly getBudgetPerDay: number | undefined;
  /** Undefined: no limit. */
  readonly getBudgetBytesPerSec: number | undefined;
  /** In whatever currency; undefined: not known. */
  readonly pricePer1000Gets: number | undefined;
  readonly maxInflightGets: number;
  readonly hedgeSlowGets: boolean;
  readonly retryMaxAttempts: number;
  readonly retryInitialBackoffMs: number;
}

/** One setting that somebody gave, and who: "seekfs.toml:12", "SEEKFS_CACHE", "--cache". */
export interface ResolvedSetting {
  readonly value: string | number | boolean;
  readonly origin: string;
  /** Where relative paths in the value begin. */
  readonly baseDirectory: string;
}

/** By key; a key that nobody gave is absent and takes its default. */
export type ResolvedSettings = ReadonlyMap<SettingKey, ResolvedSetting>;

export type RetentionPolicy = 'auto' | 'retain' | 's3fifo' | 'lru';

export interface Config {
  readonly logLevel: LogLevel;
  readonly store: StoreTarget;
  readonly pageSizeBytes: number;
  readonly rangeCoalesceMaxBytes: number;
  readonly rangeCoalesceGapBytes: number;
  readonly fetchQuantumBytes: number;
  readonly readPartSizeBytes: number;
  readonly cache: {
    readonly backend: 'segmentstore' | 'mem';
    /** Directory of the segmentstore. */
    readonly path: string;
    /** Undefined: half of the free space when the cache is created. */
    readonly l2BytesMax: number | undefined;
    /** Undefined: min(10 %, 32 GiB) of the file system. */
    readonly freeReserveBytes: number | undefined;
    /** Of L2, for the pages of any one namespace; undefined: none. */
    readonly namespaceQuotaBytes: number | undefined;
    readonly l1BytesMax: number;
    readonly policy: RetentionPolicy;
    /** What is fetched is not read again soon: it is written past the operating system's page cache. */
    readonly readsOnce: boolean;
  };
  /** One limit for L1, in-flight and response bytes. */
  readonly memoryBytesMax: number;
  readonly requireChecksums: boolean;
  readonly unsafePublish: boolean;
  /** The settings as they were given, for `--print-config`. */
  readonly settings: ResolvedSettings;
  readonly api: { readonly listen: { readonly host: string; readonly port: number } };
  /** What was clamped or ignored, for the log. */
  readonly warnings: readonly string[];
}
