// URLs signed without a client: which stores they are for, and that they say what the SDK's client would have said. That
// stores take them is for the conformance suite of the `undici` engine, which signs every request so.
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { expect, test } from 'vitest';
import { directPresigner, isDirect } from '../../../src/lib/objectstore/direct-presigner.ts';
import { createS3Client } from '../../../src/lib/objectstore/s3-client.ts';
import type { S3Options } from '../../../src/lib/objectstore/s3-options.ts';

const s3 = {
  bucket: 'data',
  region: 'eu-west-1',
  endpoint: 'https://store.example:8443/base/',
  credentials: { accessKeyId: 'key', secretAccessKey: 'secret', sessionToken: 'token/+=' },
  forcePathStyle: true,
} satisfies S3Options;
const signingDate = new Date('2026-01-02T03:04:05Z');

test.each<[string, Partial<S3Options>]>([
  ['AWS itself, whose endpoint the SDK knows', { endpoint: undefined }],
  ['credentials from the chain', { credentials: undefined }],
  ['the bucket in the name of the host', { forcePathStyle: false }],
])('%s is for the client', (_, change) => {
  expect(isDirect(s3)).toBe(true);
  expect(isDirect({ ...s3, ...change })).toBe(false);
});

test.each(['plain.bin', 'a/../b', "strange !'()*~ +&=?#%/ü/😀", '/leading//double/'])(
  'the URL for %s is the one that the client signs',
  async (key) => {
    const presign = await directPresigner(s3);
    const ours = await presign({ method: 'GET', key, expiresInS: 900, signingDate });
    const { sdk, client } = await createS3Client(s3);
    // What the client makes of the command, taken at its last step, where it would be sent.
    const command = new sdk.GetObjectCommand({ Bucket: s3.bucket, Key: key });
    let path: string | undefined;
    command.middlewareStack.add(
      (next) => (args) => {
        ({ path } = args.request as { path: string });
        return next(args);
      },
      { step: 'build', priority: 'low' },
    );
    const theirs = new URL(await getSignedUrl(client, command, { expiresIn: 900, signingDate }));
    client.destroy();
    expect(ours.path.split('?')[0]).toBe(path);
    expect(ours.origin).toBe(theirs.origin);
    const names = [...theirs.searchParams.keys()].filter((name) => name !== 'x-id' && name !== 'X-Amz-Signature');
    const query = new URLSearchParams(ours.path.split('?')[1]);
    for (const name of names) expect([name, query.get(name)]).toEqual([name, theirs.searchParams.get(name)]);
    expect(query.get('X-Amz-Signature')).toMatch(/^[0-9a-f]{64}$/);
  },
);
