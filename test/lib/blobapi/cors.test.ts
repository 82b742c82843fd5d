// CORS: off by default, and by a list of origins.
import { afterEach, expect, test } from 'vitest';
import { startServer, type BlobServer, type ServerOptions } from '../../../src/lib/blobapi/server.ts';
import { parseTokens } from '../../../src/lib/blobapi/tokens.ts';
import { ask, errorOf } from '../../support/http.ts';
import { memoryData } from '../../support/memory-data.ts';

const TOKEN = 'a'.repeat(30);
const ORIGIN = 'https://app.example';
const PAGE = { origin: ORIGIN, 'sec-fetch-site': 'cross-site' };
const PREFLIGHT = { ...PAGE, 'access-control-request-method': 'GET', 'access-control-request-headers': 'range' };

let server: BlobServer | undefined;

async function start(options: Partial<ServerOptions>): Promise<string> {
  const data = memoryData({ dev: [{ 'a.bin': Buffer.from('0123456789') }] });
  server = await startServer(data, { listen: { host: '127.0.0.1', port: 0 }, ...options });
  return `${server.url}/blob?ns=dev&path=a.bin`;
}

afterEach(() => server?.close({ drainMsMax: 0 }));

test('without a list there are no fields, a foreign page is refused and so is its preflight', async () => {
  const url = await start({});
  const own = await ask(url, { headers: { origin: ORIGIN, host: 'localhost' } });
  expect([own.status, own.headers['access-control-allow-origin'], own.headers.vary]).toEqual([
    200,
    undefined,
    undefined,
  ]);
  expect((await ask(url, { headers: PAGE })).status).toBe(403);
  expect((await ask(url, { method: 'OPTIONS', headers: PREFLIGHT })).status).toBe(403);
});

test('a page of a listed origin may ask, and reads what it needs, errors too', async () => {
  const url = await start({ corsOrigins: ['https://other.example:8443', ORIGIN] });
  const answer = await ask(url, { headers: { ...PAGE, range: 'bytes=2-4' } });
  expect([answer.status, answer.body.toString()]).toEqual([206, '234']);
  expect(answer.headers).toMatchObject({ 'access-control-allow-origin': ORIGIN, vary: 'Origin' });
  expect(answer.headers['access-control-expose-headers']!.split(', ')).toEqual(
    expect.arrayContaining(['Content-Range', 'ETag', 'X-Seekfs-Version', 'X-Request-Id', 'Retry-After']),
  );
  const missing = await ask(`${url}x`, { headers: PAGE });
  expect([missing.status, missing.headers['access-control-allow-origin']]).toEqual([404, ORIGIN]);
});

test('a preflight of a listed origin is answered without a token, and the request itself is not', async () => {
  const url = await start({ corsOrigins: [ORIGIN], tokens: parseTokens(`${TOKEN} dev`, 'tokens') });
  const preflight = await ask(url, { method: 'OPTIONS', headers: PREFLIGHT });
  expect([preflight.status, preflight.body.length]).toEqual([204, 0]);
  expect(preflight.headers).toMatchObject({
    'access-control-allow-origin': ORIGIN,
    'access-control-allow-methods': 'GET, HEAD, POST',
    'access-control-allow-headers': expect.stringContaining('Authorization'),
    'access-control-max-age': '600',
  });
  expect((await ask(url, { headers: PAGE })).status).toBe(401);
  expect((await ask(url, { headers: { ...PAGE, authorization: `Bearer ${TOKEN}` } })).status).toBe(200);
});

test('an origin that is not listed gets neither fields nor preflights, and caches are told', async () => {
  const url = await start({ corsOrigins: [ORIGIN] });
  for (const origin of ['https://app.example.evil', 'http://app.example', 'https://app.example:444', 'null']) {
    const answer = await ask(url, { headers: { ...PAGE, origin } });
    expect([answer.status, answer.headers['access-control-allow-origin'], answer.headers.vary]).toEqual([
      403,
      undefined,
      'Origin',
    ]);
    expect((await ask(url, { method: 'OPTIONS', headers: { ...PREFLIGHT, origin } })).status).toBe(403);
  }
  const plain = await ask(url, { method: 'OPTIONS' });
  expect([plain.status, errorOf(plain).code]).toEqual([405, 'usage']);
});

test('all origins want tokens', async () => {
  await expect(start({ corsOrigins: ['*'] })).rejects.toMatchObject({ code: 'usage' });
  const url = await start({ corsOrigins: ['*'], tokens: parseTokens(`${TOKEN} *`, 'tokens') });
  const answer = await ask(url, { headers: { ...PAGE, authorization: `Bearer ${TOKEN}` } });
  expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([200, '*']);
});

test.each(['app.example', 'https://app.example/', 'https://app.example/path', 'null'])(
  '%s is no origin',
  async (origin) => {
    await expect(start({ corsOrigins: [origin] })).rejects.toMatchObject({ code: 'config_invalid' });
  },
);
