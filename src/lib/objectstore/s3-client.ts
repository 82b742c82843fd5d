// One client of the AWS SDK as both S3 engines need it: endpoint, credentials, certificates, time-outs, no retries of its
// own (the retry decorator has them). The SDK is loaded here, on first use, and nowhere else.
import type * as AwsS3 from '@aws-sdk/client-s3';
import { readCertificates } from './certificates.ts';
import { DEFAULT_TIMEOUTS, type S3Options } from './s3-options.ts';

const CONNECTIONS_MAX_DEFAULT = 256;

/** The SDK writes to the console unless it is given something else. */
const ignore = (): void => undefined;
const SILENT = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };

type RequestHandler = NonNullable<AwsS3.S3ClientConfig['requestHandler']>;

export type S3Sdk = typeof AwsS3;

export interface LoadedClient {
  readonly sdk: S3Sdk;
  readonly client: AwsS3.S3Client;
}

export async function createS3Client(options: S3Options): Promise<LoadedClient> {
  const [sdk, ca, { Agent: HttpsAgent }, { Agent: HttpAgent }] = await Promise.all([
    import('@aws-sdk/client-s3'),
    readCertificates(options.caFile),
    import('node:https'),
    import('node:http'),
  ]);
  const timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
  const agent = { keepAlive: true, maxSockets: options.connectionsMax ?? CONNECTIONS_MAX_DEFAULT };
  const { credentials } = options;
  const requestHandler =
    options.proxy === undefined
      ? {
          httpAgent: new HttpAgent(agent),
          httpsAgent: new HttpsAgent(ca ? { ...agent, ca } : agent),
          connectionTimeout: timeouts.connectMs,
          socketTimeout: timeouts.firstByteMs,
          socketAcquisitionWarningTimeout: 600_000,
        }
      : (new (await import('./proxied-requests.ts')).ProxiedRequests(options) as unknown as RequestHandler);
  const client = new sdk.S3Client({
    region: options.region,
    forcePathStyle: options.forcePathStyle,
    maxAttempts: 1,
    followRegionRedirects: false,
    logger: SILENT,
    // Ceph and others know neither flexible checksums nor trailers; our bytes have checksums of their own.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler,
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(credentials === undefined
      ? {}
      : {
          credentials: {
            accessKeyId: credentials.accessKeyId,
            secretAccessKey: credentials.secretAccessKey,
            ...(credentials.sessionToken === undefined ? {} : { sessionToken: credentials.sessionToken }),
          },
        }),
  });
  return { sdk, client };
}
