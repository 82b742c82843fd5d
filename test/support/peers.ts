// Real S3 servers for tests. `SEEKFS_TEST_S3_ENDPOINT` (with SEEKFS_TEST_S3_ACCESS_KEY and SEEKFS_TEST_S3_SECRET) names one
// that runs; otherwise Ceph RGW is started once per test run where it is installed. Where there is none the tests that
// need it skip with a printed reason, and fail when SEEKFS_PEERS_REQUIRED=1.
import { randomBytes } from 'node:crypto';
import { S3Client, CreateBucketCommand } from '@aws-sdk/client-s3';
import { inject } from 'vitest';
import type { S3Options } from '../../src/lib/objectstore/s3-options.ts';
import type { PeerAnswer, S3Peer } from './peers-setup.ts';

export type { S3Peer } from './peers-setup.ts';

/** Undefined where there is none: `describe.skipIf(!peer)`. Call it at the top of a test file, with `await`. */
export async function s3Peer(): Promise<S3Peer | undefined> {
  const answer = (await (await fetch(inject('peersUrl'))).json()) as PeerAnswer;
  if ('peer' in answer) return answer.peer;
  if (process.env['SEEKFS_PEERS_REQUIRED'] === '1') throw new Error(`no S3 server to test against: ${answer.missing}`);
  process.stderr.write(`skipped, no S3 server to test against: ${answer.missing}\n`);
  return undefined;
}

export function peerOptions(peer: S3Peer, bucket: string): S3Options {
  const { endpoint, region, accessKeyId, secretAccessKey } = peer;
  return { bucket, region, endpoint, credentials: { accessKeyId, secretAccessKey }, forcePathStyle: true };
}

/** A new bucket of its own for a test file; the server and all in it go with the run. */
export async function freshBucket(peer: S3Peer, name: string): Promise<string> {
  const bucket = `${name}-${randomBytes(4).toString('hex')}`;
  const { credentials, endpoint, region } = peerOptions(peer, bucket);
  const client = new S3Client({
    endpoint: endpoint!,
    region,
    forcePathStyle: true,
    credentials: credentials as { accessKeyId: string; secretAccessKey: string },
  });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  return bucket;
}
