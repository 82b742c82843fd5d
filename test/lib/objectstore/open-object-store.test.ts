import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { openObjectStore } from '../../../src/lib/objectstore/open-object-store.ts';
import { describeObjectStore } from '../../support/object-store-conformance.ts';
import { getRangeBytes, listAll } from '../../support/store-bytes.ts';
import { freshBucket, peerOptions, s3Peer } from '../../support/peers.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const peer = await s3Peer();

describeObjectStore('a directory store as the library opens it', {
  open: async () =>
    openObjectStore({ kind: 'directory', rootPath: join(await temporaryDirectory(), 's') }, { metrics: new Metrics() }),
  presign: 'usage',
});

const counts = (metrics: Metrics): Record<string, number> => ({
  gets: metrics.get('seekfs_store_gets_total'),
  getBytes: metrics.get('seekfs_store_get_bytes_total'),
  metaGets: metrics.get('seekfs_store_meta_gets_total'),
  heads: metrics.get('seekfs_store_heads_total'),
  lists: metrics.get('seekfs_store_lists_total'),
  puts: metrics.get('seekfs_store_puts_total'),
  deletes: metrics.get('seekfs_store_deletes_total'),
});

describe('openObjectStore', () => {
  const targets = [
    { name: 'directory', target: async () => ({ kind: 'directory', rootPath: await temporaryDirectory() }) as const },
    ...(['sdk', 'undici'] as const).map((engine) => ({
      name: `s3 with ${engine}`,
      target: async () => {
        const bucket = await freshBucket(peer!, 'open');
        const s3 = {
          ...peerOptions(peer!, bucket),
          engine,
          getBudgetPerSec: 1000,
          maxInflightGets: 8,
          retryMaxAttempts: 3,
          retryInitialBackoffMs: 10,
        };
        return { kind: 's3', bucket, s3 } as const;
      },
    })),
  ];

  test.each(targets)('counts every request on $name', async ({ name, target }) => {
    if (name !== 'directory' && !peer) return;
    const metrics = new Metrics();
    const store = openObjectStore(await target(), { metrics });
    const source = { kind: 'bytes', bytes: Buffer.alloc(1000) } as const;
    await store.put({ key: 'k', source, condition: { kind: 'none' }, durable: false });
    await getRangeBytes(store, 'k', { off: 0, len: 600 });
    await store.getWhole({ key: 'k', sizeBytesMax: 1000, purpose: 'meta' });
    await store.head({ key: 'k' });
    await listAll(store, '');
    await store.delete({ keys: ['k'] });
    expect(counts(metrics)).toEqual({ gets: 1, getBytes: 600, metaGets: 1, heads: 1, lists: 1, puts: 1, deletes: 1 });
    await store.close();
  });

  test('sends nothing and touches nothing by itself', async () => {
    const rootPath = join(await temporaryDirectory(), 'missing');
    const store = openObjectStore({ kind: 'directory', rootPath }, { metrics: new Metrics() });
    expect(store.url).toBe(`file://${rootPath}`);
    await store.close();
  });

  test('an endpoint that nobody listens at is store_unavailable that names it, after the retries', async () => {
    const metrics = new Metrics();
    const s3 = {
      region: 'us-east-1',
      endpoint: 'http://127.0.0.1:1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'a', secretAccessKey: 'topsecret' },
      engine: 'sdk',
      getBudgetPerSec: 1000,
      maxInflightGets: 8,
      retryMaxAttempts: 3,
      retryInitialBackoffMs: 1,
    } as const;
    const store = openObjectStore({ kind: 's3', bucket: 'b', s3 }, { metrics });
    const error = await getRangeBytes(store, 'k', { off: 0, len: 1 }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'store_unavailable' });
    expect((error as Error).message).toContain('http://127.0.0.1:1');
    expect((error as Error).message).toContain('ECONNREFUSED');
    expect(JSON.stringify(error)).not.toContain('topsecret');
    expect(metrics.get('seekfs_store_retries_total')).toBe(2);
    expect(metrics.get('seekfs_store_gets_total')).toBe(3);
    await store.close();
  });

  test.skipIf(!peer)('a bucket that does not exist, and credentials that are wrong, are told apart', async () => {
    const common = {
      engine: 'sdk',
      getBudgetPerSec: 1000,
      maxInflightGets: 8,
      retryMaxAttempts: 1,
      retryInitialBackoffMs: 1,
    } as const;
    const missing = openObjectStore(
      { kind: 's3', bucket: 'no-such-bucket-here', s3: { ...peerOptions(peer!, 'x'), ...common } },
      { metrics: new Metrics() },
    );
    await expect(getRangeBytes(missing, 'k', { off: 0, len: 1 })).rejects.toMatchObject({ code: 'bucket_not_found' });
    await expect(listAll(missing, '')).rejects.toMatchObject({ code: 'bucket_not_found' });
    const credentials = { accessKeyId: peer!.accessKeyId, secretAccessKey: 'wrong' };
    const denied = openObjectStore(
      {
        kind: 's3',
        bucket: await freshBucket(peer!, 'denied'),
        s3: { ...peerOptions(peer!, 'x'), ...common, credentials },
      },
      { metrics: new Metrics() },
    );
    await expect(getRangeBytes(denied, 'k', { off: 0, len: 1 })).rejects.toMatchObject({ code: 'access_denied' });
    await expect(denied.head({ key: 'k' })).rejects.toMatchObject({ code: 'access_denied' });
  });

  test('counts the bytes that a sink took from the file itself', async () => {
    const metrics = new Metrics();
    const store = openObjectStore({ kind: 'directory', rootPath: await temporaryDirectory() }, { metrics });
    const source = { kind: 'bytes', bytes: Buffer.alloc(1000) } as const;
    await store.put({ key: 'k', source, condition: { kind: 'none' }, durable: false });
    const take = ({ len }: { len: number }): Promise<number> => Promise.resolve(len);
    const write = (): never => expect.unreachable();
    await store.getRange({ key: 'k', range: { off: 0, len: 600 }, purpose: 'file' }, { write, take });
    expect(counts(metrics)).toMatchObject({ gets: 1, getBytes: 600 });
    await store.close();
  });
});
