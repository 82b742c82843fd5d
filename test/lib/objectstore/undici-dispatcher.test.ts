// The ways to a store that are not a plain connection to its address: bucket in the host name, and proxies with tunnels.
import dns from 'node:dns';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { KIB } from '../../../src/lib/base/units.ts';
import type { ObjectStore } from '../../../src/lib/objectstore/object-store.ts';
import type { S3Options } from '../../../src/lib/objectstore/s3-options.ts';
import { OPENSSL, selfSigned } from '../../support/certificate.ts';
import { ConnectProxy } from '../../support/connect-proxy.ts';
import { FaultyS3 } from '../../support/faulty-s3.ts';
import { openS3Store } from '../../support/s3-store.ts';
import { getRangeBytes, listAll, patternBytes } from '../../support/store-bytes.ts';

const SIZE_BYTES = 300 * KIB;
const RANGE = { off: 1000, len: 200 * KIB };
const CLOSE: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of CLOSE.splice(0).reverse()) await close();
  vi.restoreAllMocks();
});

async function serve(tls?: { key: Buffer; cert: Buffer }): Promise<FaultyS3> {
  const server = await new FaultyS3(tls).listen();
  CLOSE.push(() => server.close());
  server.objects.set('k', patternBytes({ off: 0, len: SIZE_BYTES }));
  return server;
}

function open(server: FaultyS3, engine: 'sdk' | 'undici', more: Partial<S3Options>): ObjectStore {
  const store = openS3Store(server.options(more), { engine, retryMaxAttempts: 2 });
  CLOSE.push(() => store.close());
  return store;
}

/** Reads, writes and lists. */
async function use(store: ObjectStore): Promise<void> {
  expect((await getRangeBytes(store, 'k', RANGE)).equals(patternBytes(RANGE))).toBe(true);
  const source = { kind: 'bytes', bytes: Buffer.alloc(100 * KIB, 'p') } as const;
  await store.put({ key: 'a b/put', source, condition: { kind: 'none' }, durable: true });
  expect((await store.head({ key: 'a b/put' })).sizeBytes).toBe(100 * KIB);
  expect((await listAll(store, 'a')).map(({ key }) => key)).toEqual(['a b/put']);
}

describe.each(['sdk', 'undici'] as const)('%s engine', (engine) => {
  describe('with the bucket in the host name', () => {
    beforeEach(() => {
      // As resolvers answer for every name under .localhost, where they follow RFC 6761 §6.3.
      const { lookup } = dns;
      const loopback = (name: string, options: object, done: (...answer: unknown[]) => void): void => {
        const to = name.endsWith('.localhost') ? '127.0.0.1' : name;
        (lookup as (...call: unknown[]) => void)(to, options, done);
      };
      vi.spyOn(dns, 'lookup').mockImplementation(loopback as never);
    });

    test('every request names the bucket there and not in its path', async () => {
      const server = await serve();
      const { port } = new URL(server.endpoint);
      await use(open(server, engine, { endpoint: `http://localhost:${port}`, forcePathStyle: false }));
      expect(new Set(server.log.map(({ headers }) => headers.host))).toEqual(new Set([`bucket.localhost:${port}`]));
      expect(server.log.filter(({ operation }) => operation === 'GET').map(({ key }) => key)).toEqual(['k']);
    });

    test.skipIf(!OPENSSL)('also over HTTPS, where the certificate must be for that name', async () => {
      const certificate = await selfSigned(['DNS:bucket.localhost']);
      const server = await serve(certificate);
      const endpoint = `https://localhost:${new URL(server.endpoint).port}`;
      await use(open(server, engine, { endpoint, forcePathStyle: false, caFile: certificate.certPath }));
      const pathStyle = open(server, engine, { endpoint, forcePathStyle: true, caFile: certificate.certPath });
      await expect(getRangeBytes(pathStyle, 'k', RANGE)).rejects.toMatchObject({
        code: 'store_unavailable',
        message: expect.stringContaining('for another name'),
      });
    });
  });

  describe.skipIf(!OPENSSL)('through a proxy to an HTTPS store', () => {
    test('asks for a tunnel by the name of the store, and checks the certificate at its end', async () => {
      const certificate = await selfSigned(['DNS:store.invalid', 'DNS:*.store.invalid']);
      const server = await serve(certificate);
      const proxy = await new ConnectProxy().listen(() => Number(new URL(server.endpoint).port));
      CLOSE.push(() => proxy.close());
      const way = { proxy: proxy.url, endpoint: 'https://store.invalid' };
      await use(open(server, engine, { ...way, caFile: certificate.certPath }));
      await use(open(server, engine, { ...way, caFile: certificate.certPath, forcePathStyle: false }));
      expect(new Set(proxy.tunnels)).toEqual(new Set(['store.invalid:443', 'bucket.store.invalid:443']));
      const doubting = open(server, engine, way);
      await expect(getRangeBytes(doubting, 'k', RANGE)).rejects.toMatchObject({ code: 'store_unavailable' });
    });

    test('a proxy that refuses is an error that says so, in bounded time', async () => {
      const certificate = await selfSigned(['DNS:store.invalid']);
      const server = await serve(certificate);
      const proxy = await new ConnectProxy().listen(() => Number(new URL(server.endpoint).port));
      CLOSE.push(() => proxy.close());
      proxy.refuseWith = '407 Proxy Authentication Required';
      const way = { proxy: proxy.url, endpoint: 'https://store.invalid', caFile: certificate.certPath };
      await expect(getRangeBytes(open(server, engine, way), 'k', RANGE)).rejects.toMatchObject({
        code: 'store_unavailable',
        message: expect.stringContaining('proxy that answered HTTP 407'),
      });
      expect(server.log).toEqual([]);
    });
  });
});

test.skipIf(!OPENSSL)('certificates that cannot be read fail a request, and are read anew for the next', async () => {
  const certificate = await selfSigned(['IP:127.0.0.1']);
  const server = await serve(certificate);
  const caFile = join(certificate.directory, 'ca.pem');
  const store = open(server, 'undici', { caFile });
  await expect(getRangeBytes(store, 'k', RANGE)).rejects.toMatchObject({ code: 'file_not_found' });
  await copyFile(certificate.certPath, caFile);
  expect((await getRangeBytes(store, 'k', RANGE)).equals(patternBytes(RANGE))).toBe(true);
});
