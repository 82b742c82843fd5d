// How to reach a bucket, for the engines that speak S3. Plain values: open-object-store.ts fills them from the configuration.
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface S3Timeouts {
  readonly connectMs: number;
  /** From the request sent to the head of its response. */
  readonly firstByteMs: number;
  /** Between two chunks of a body, the sink's own time not counted. */
  readonly stallMs: number;
}

export const DEFAULT_TIMEOUTS: S3Timeouts = { connectMs: 5000, firstByteMs: 30_000, stallMs: 15_000 };

export interface S3Options {
  readonly bucket: string;
  readonly region: string;
  /** "http://host:port"; undefined: AWS's own, by region. */
  readonly endpoint?: string | undefined;
  /** Undefined: the AWS default credential chain. */
  readonly credentials?: S3Credentials | undefined;
  readonly forcePathStyle: boolean;
  /** PEM certificates to trust beside the usual ones. */
  readonly caFile?: string | undefined;
  /** "http://proxy:port"; undefined: direct. */
  readonly proxy?: string | undefined;
  /** Sockets to the endpoint at most. */
  readonly connectionsMax?: number | undefined;
  readonly timeouts?: Partial<S3Timeouts> | undefined;
}

/** "s3://bucket", and the endpoint's host where it is not AWS's: for messages and for the identity of caches. */
export function s3Url(options: S3Options): string {
  const host = options.endpoint === undefined ? '' : `?endpoint=${new URL(options.endpoint).host}`;
  return `s3://${options.bucket}${host}`;
}

/** Where requests go, for messages: no credentials in it. */
export function endpointName(options: S3Options): string {
  if (options.endpoint === undefined) return `AWS S3 in ${options.region}`;
  return withoutUser(options.endpoint);
}

/** The proxy on the way there, likewise. */
export function proxyName({ proxy }: S3Options): string | undefined {
  return proxy === undefined ? undefined : withoutUser(proxy);
}

function withoutUser(url: string): string {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}
