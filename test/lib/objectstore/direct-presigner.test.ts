// URLs signed without the SDK: which stores they are for, and that they say and sign what the SDK would have. That
// stores take them is for the conformance suite of the `undici` engine, which signs every request so.
import { getSignedUrl, S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
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
const PLAIN = { accessKeyId: 'key', secretAccessKey: 'secret' };
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
    const presign = directPresigner(s3);
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

test.each<[string, S3Options]>([
  ['a token', s3],
  ['no token, and the port of the scheme', { ...s3, endpoint: 'http://store.example', credentials: PLAIN }],
])('the signature is that of the SDK: with %s', async (_, options) => {
  const { client } = await createS3Client(options);
  const { sha256, credentials } = client.config;
  client.destroy();
  const presigner = new S3RequestPresigner({ region: options.region, credentials, sha256 });
  for (const method of ['GET', 'HEAD'] as const) {
    for (const key of ['plain.bin', "strange !'()*~ +&=?#%/ü/😀"]) {
      if (!isDirect(options)) throw new Error('not direct');
      const ours = await directPresigner(options)({ method, key, expiresInS: 900, signingDate });
      const [path, query] = ours.path.split('?');
      const { protocol, hostname, port, host } = new URL(ours.origin);
      const headers = { host };
      const target = {
        protocol,
        hostname,
        ...(port === '' ? {} : { port: Number(port) }),
        method,
        path: path!,
        headers,
      };
      const theirs = await presigner.presign({ ...target, query: {} }, { expiresIn: 900, signingDate });
      expect(Object.fromEntries(new URLSearchParams(query))).toEqual(theirs.query);
    }
  }
});
