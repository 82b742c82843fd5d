// Credentials of the AWS default chain that are renewed in the middle of a run.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import type { ObjectStore } from '../../../src/lib/objectstore/object-store.ts';
import { FaultyS3 } from '../../support/faulty-s3.ts';
import { openS3Store } from '../../support/s3-store.ts';
import { getRangeBytes } from '../../support/store-bytes.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const RANGE = { off: 2, len: 5 };

let server: FaultyS3;
let provider: Server;
let metrics: Metrics;
let store: ObjectStore;
/** What the provider of credentials gives out. */
let current: { key: string; lastsMs: number };
let asked: number;

beforeEach(async () => {
  server = await new FaultyS3().listen();
  server.objects.set('k', Buffer.from('0123456789'));
  asked = 0;
  provider = createServer((_, response) => {
    asked += 1;
    const { key: AccessKeyId, lastsMs } = current;
    const Expiration = new Date(Date.now() + lastsMs).toISOString();
    response.end(
      JSON.stringify({ AccessKeyId, SecretAccessKey: 'secret', Token: `token of ${AccessKeyId}`, Expiration }),
    );
  });
  await new Promise<void>((resolve) => void provider.listen(0, '127.0.0.1', resolve));
  const home = await temporaryDirectory();
  for (const name of [
    'AWS_ACCESS_KEY_ID',
    'AWS_SECRET_ACCESS_KEY',
    'AWS_PROFILE',
    'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  ]) {
    vi.stubEnv(name, undefined);
  }
  vi.stubEnv('AWS_CONFIG_FILE', `${home}/config`);
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', `${home}/credentials`);
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  const { port } = provider.address() as AddressInfo;
  vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `http://127.0.0.1:${port}/credentials`);
  metrics = new Metrics();
});

afterEach(async () => {
  await store.close();
  await server.close();
  provider.closeAllConnections();
  await new Promise<void>((resolve) => void provider.close(() => resolve()));
  vi.unstubAllEnvs();
});

function open(engine: 'sdk' | 'undici'): void {
  store = openS3Store(server.options({ credentials: undefined }), { engine, metrics });
}

async function read(): Promise<string> {
  return (await getRangeBytes(store, 'k', RANGE)).toString();
}

/** Access keys of the GETs, in order. */
function keysUsed(): string[] {
  return server.log.map(({ accessKey }) => accessKey ?? 'none');
}

describe.each(['sdk', 'undici'] as const)('%s engine with the default chain', (engine) => {
  test('keeps credentials that last, and asks for them once', async () => {
    current = { key: 'A', lastsMs: 3_600_000 };
    open(engine);
    for (let n = 0; n < 5; n += 1) expect(await read()).toBe('23456');
    expect(keysUsed()).toEqual(['A', 'A', 'A', 'A', 'A']);
    expect(asked).toBe(1);
  });

  test('renews credentials that are about to expire before any request fails', async () => {
    current = { key: 'A', lastsMs: 30_000 };
    open(engine);
    expect(await read()).toBe('23456');
    current = { key: 'B', lastsMs: 3_600_000 };
    // Renewal may happen behind a request that still goes out with the old ones.
    while (keysUsed().at(-1) === 'A') expect(await read()).toBe('23456');
    expect(keysUsed().at(-1)).toBe('B');
    server.expiredKeys.add('A');
    expect(await read()).toBe('23456');
    expect(metrics.get('seekfs_store_retries_total')).toBe(0);
  });

  test('asks anew for credentials that the store calls expired, and the read succeeds', async () => {
    current = { key: 'A', lastsMs: 3_600_000 };
    open(engine);
    expect(await read()).toBe('23456');
    server.expiredKeys.add('A');
    current = { key: 'B', lastsMs: 3_600_000 };
    expect(await read()).toBe('23456');
    expect(keysUsed()).toEqual(['A', 'A', 'B']);
  });
});
