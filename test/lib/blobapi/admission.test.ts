import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Logger } from '../../../src/lib/base/log.ts';
import { Admission } from '../../../src/lib/blobapi/admission.ts';
import { DEFAULT_LIMITS } from '../../../src/lib/blobapi/limits.ts';
import { startServer, type BlobServer, type ServerOptions } from '../../../src/lib/blobapi/server.ts';
import { parseTokens } from '../../../src/lib/blobapi/tokens.ts';
import { OPENSSL, selfSigned } from '../../support/certificate.ts';
import { ask, errorOf } from '../../support/http.ts';
import { memoryData, type MemoryData } from '../../support/memory-data.ts';

const TEAM = 'team-token-0123456789abcdef';
const ROOT = 'root-token-0123456789abcdef';
const TOKENS = parseTokens(`${TEAM} dev\n${ROOT} *\n`, 'tokens');

let data: MemoryData;
let server: BlobServer | undefined;
let lines: { message: string; fields: Readonly<Record<string, unknown>> }[];

beforeEach(() => {
  lines = [];
  const log: Logger = { log: (_level, message, fields = {}) => lines.push({ message, fields }) };
  data = { ...memoryData({ dev: [{ a: Buffer.from('0123456789') }] }), log };
});

afterEach(async () => {
  await server?.close({ drainMsMax: 0 });
  expect(data.memory.inUseBytes).toBe(0);
});

async function start(options: Partial<ServerOptions> = {}): Promise<string> {
  server = await startServer(data, { listen: { host: '127.0.0.1', port: 0 }, ...options });
  return server.url;
}

function socketTo(url: string): Socket {
  return connect(Number(new URL(url).port), '127.0.0.1');
}

async function textOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString();
  return text;
}

/** Holds every read until it is let go; resolves `reached` when the n-th read waits. */
function gate(count = 1): { reached: Promise<void>; open: () => void } {
  let waiting = 0;
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const reached = new Promise<void>((resolve) => {
    data.memoryReader.onSlab = () => {
      waiting += 1;
      if (waiting === count) resolve();
      return opened;
    };
  });
  return { reached, open };
}

describe('tokens', () => {
  test.each([
    ['/blob?ns=dev&path=a', undefined, 401],
    ['/blob?ns=dev&path=a', TEAM, 200],
    ['/blob?ns=other&path=a', TEAM, 401],
    ['/blob?ns=other&path=a', ROOT, 404],
    ['/metrics', TEAM, 401],
    ['/metrics', ROOT, 200],
    ['/healthz', undefined, 200],
    ['/readyz', undefined, 200],
  ])('%s with token %s is %i', async (target, token, status) => {
    const url = await start({ tokens: TOKENS, requestLog: { every: true } });
    const answer = await ask(url + target, { headers: token ? { authorization: `Bearer ${token}` } : {} });
    expect(answer.status).toBe(status);
    if (status === 401) {
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="seekfs"');
      expect(data.metrics.get('seekfs_http_refused_total', { reason: 'token' })).toBe(1);
    }
    expect(JSON.stringify(lines) + answer.body.toString()).not.toContain('-token-');
  });

  test('new tokens count from the reload on', async () => {
    const url = await start({ tokens: TOKENS });
    const headers = { authorization: `Bearer ${TEAM}` };
    expect((await ask(`${url}/blob?ns=dev&path=a`, { headers })).status).toBe(200);
    server!.reload({ tokens: parseTokens(`${ROOT} *`, 'tokens') });
    expect((await ask(`${url}/blob?ns=dev&path=a`, { headers })).status).toBe(401);
  });

  test('an address that others reach needs them, or the word insecure', async () => {
    const listen = { host: '0.0.0.0', port: 0 };
    await expect(startServer(data, { listen })).rejects.toMatchObject({ code: 'usage' });
    server = await startServer(data, { listen, insecure: true });
  });
});

describe('browsers', () => {
  test('a page of another site is refused', async () => {
    const url = await start();
    const answer = await ask(`${url}/blob?ns=dev&path=a`, { headers: { 'sec-fetch-site': 'cross-site' } });
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([403, undefined]);
  });

  test('a name that was pointed at our address is refused to a browser', async () => {
    const url = await start();
    const headers = { host: 'evil.example:7070', 'sec-fetch-site': 'same-origin' };
    expect((await ask(`${url}/blob?ns=dev&path=a`, { headers })).status).toBe(421);
    expect((await ask(`${url}/blob?ns=dev&path=a`, { headers: { ...headers, host: 'localhost:7070' } })).status).toBe(
      200,
    );
  });
});

describe('bounds', () => {
  test('more requests of one client than the bound are 429, and the next one after them is served', async () => {
    const url = await start({ limits: { requestsPerClientMax: 2 } });
    const { reached, open } = gate(2);
    const target = `${url}/blob?ns=dev&path=a`;
    const running = [ask(target), ask(target)];
    await reached;
    const refused = await ask(target);
    expect([refused.status, refused.headers['retry-after'], errorOf(refused).code]).toEqual([429, '1', 'overloaded']);
    open();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200]);
    expect((await ask(target)).status).toBe(200);
  });

  test('a bound of each client holds also after thousands of others that ask no more', () => {
    const admission = new Admission({ ...DEFAULT_LIMITS, requestsPerClientMax: 1 }, data.metrics, undefined);
    const clients = Array.from({ length: 3000 }, (_, index) => `client ${index}`);
    for (const client of clients) {
      for (let round = 0; round < 2; round += 1) {
        admission.enter(client);
        expect(() => admission.enter(client)).toThrow(/^this client has 1 requests open already/);
        admission.leave(client);
        admission.leave(client);
      }
    }
    expect({ requests: admission.total, clients: admission.clients }).toEqual({ requests: 0, clients: 1000 });
  });

  test('more requests in all are 503', async () => {
    const url = await start({ limits: { requestsMax: 1 } });
    const { reached, open } = gate();
    const running = ask(`${url}/blob?ns=dev&path=a`);
    await reached;
    expect((await ask(`${url}/healthz`)).status).toBe(503);
    open();
    await running;
  });

  test('extents, and the bytes of an unframed readv, are bounded', async () => {
    const url = await start({ limits: { extentsMax: 2, responseBytesMax: 15 } });
    const extent = { path: 'a', off: 0, len: 10 };
    for (const extents of [
      [extent, extent, extent],
      [extent, extent],
    ]) {
      const answer = await ask(`${url}/readv?ns=dev`, { method: 'POST', body: JSON.stringify(extents) });
      expect(answer.status).toBe(413);
    }
  });

  test('a head that does not arrive in time is 408, a client that says nothing is cut off', async () => {
    const url = await start({ limits: { headMsMax: 100, bodyMsMax: 200 } });
    const slow = socketTo(url);
    slow.write('GET /healthz HTTP/1.1\r\nHo');
    const silent = socketTo(url);
    expect(await textOf(slow)).toMatch(/^HTTP\/1.1 408 /);
    await textOf(silent);
  });

  test('a body that does not arrive in time is cut off', async () => {
    const url = await start({ limits: { headMsMax: 100, bodyMsMax: 200 } });
    const slow = socketTo(url);
    slow.write('POST /readv?ns=dev HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[');
    const text = await textOf(slow);
    expect(text).not.toContain(' 200 ');
  });

  test('a connection without a request is closed after a while', async () => {
    const url = await start({ limits: { idleMsMax: 100 } });
    const socket = socketTo(url);
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    // It ends although the client asked for nothing of the kind.
    expect(await textOf(socket)).toMatch(/^HTTP\/1.1 200 [^]*Connection: keep-alive/);
  });

  test('more connections than the bound are closed at once, and those before them are served', async () => {
    const url = await start({ limits: { connectionsMax: 2 } });
    const sockets = [socketTo(url), socketTo(url)];
    const answered = async (socket: Socket): Promise<string> => {
      socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
      const [head] = (await once(socket, 'data')) as [Buffer];
      return head.toString().slice(0, 12);
    };
    for (const socket of sockets) expect(await answered(socket)).toBe('HTTP/1.1 200');
    const third = socketTo(url);
    third.on('error', () => undefined);
    await once(third, 'close');
    expect(third.bytesRead).toBe(0);
    for (const socket of sockets) expect(await answered(socket)).toBe('HTTP/1.1 200');
    sockets[0]!.destroy();
  });

  test('a thousand silent and half-open clients do not stop a good one', async () => {
    const url = await start();
    const sockets = Array.from({ length: 1000 }, () => socketTo(url));
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    for (const [index, socket] of sockets.entries()) if (index % 2) socket.write('GET /blob?ns=dev&pa');
    expect((await ask(`${url}/blob?ns=dev&path=a`)).body.toString()).toBe('0123456789');
    const gone = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    for (const socket of sockets) socket.destroy();
    await Promise.all(gone);
  });
});

describe('the request log', () => {
  test('has one line a request, with its id, which the answer carries', async () => {
    const url = await start({ requestLog: { every: true } });
    const own = await ask(`${url}/blob?ns=dev&path=a&len=3`, { headers: { 'x-request-id': 'job-7' } });
    expect(own.headers['x-request-id']).toBe('job-7');
    const ours = await ask(`${url}/blob?ns=dev&path=a`, { headers: { 'x-request-id': 'not an id"' } });
    expect(ours.headers['x-request-id']).toMatch(/^[0-9a-f]{6}-1$/);
    expect(lines.find(({ fields }) => fields['request_id'] === 'job-7')).toMatchObject({
      message: 'request',
      fields: { route: 'blob', subject: 'dev/a', status: 200, bytes: 3, client: '127.0.0.1', complete: true },
    });
  });

  test('has slow requests and failures unless every request is asked for, and nothing else', async () => {
    const url = await start({ requestLog: { slowMs: 0.001 } });
    await ask(`${url}/healthz`);
    expect(lines.map(({ message }) => message)).toEqual(['slow request']);
    await server!.close();
    lines.length = 0;
    // However slow this machine is.
    const quiet = await start({ requestLog: { slowMs: 600_000 } });
    await ask(`${quiet}/healthz`);
    await ask(`${quiet}/nowhere`);
    expect(lines).toEqual([]);
  });
});

test('requests, latencies and bytes are counted by route and status', async () => {
  const url = await start();
  await ask(`${url}/blob?ns=dev&path=a`);
  await ask(`${url}/blob?ns=dev&path=no`);
  const text = (await ask(`${url}/metrics`)).body.toString();
  expect(text).toContain('seekfs_http_requests_total{route="blob",status="200"} 1\n');
  expect(text).toContain('seekfs_http_requests_total{route="blob",status="404"} 1\n');
  expect(text).toContain('seekfs_http_request_seconds_count{route="blob"} 2\n');
  expect(text).toContain('seekfs_http_active_requests 1\n');
  expect(text).toMatch(/seekfs_memory_limit_bytes 33554432\n/);
});

test('GETs have their cost, and what was saved has what it would have cost, where there is a price', async () => {
  data.metrics.add('seekfs_store_gets_total', 3000);
  data.metrics.add('seekfs_store_meta_gets_total', 1000);
  data.metrics.add('seekfs_store_gets_saved_total', 500, { by: 'coalescing' });
  data.metrics.add('seekfs_store_gets_saved_total', 1500, { by: 'cache' });
  const costs = async (): Promise<unknown> => {
    const text = (await ask(`${server!.url}/metrics`)).body.toString();
    const status = JSON.parse((await ask(`${server!.url}/status.json`)).body.toString()) as Record<string, unknown>;
    const metrics = text.split('\n').filter((line) => line.startsWith('seekfs_store_cost'));
    return [...metrics, status['cost'], status['cost_saved']];
  };
  await start();
  expect(await costs()).toEqual(['seekfs_store_cost_total 0', 'seekfs_store_cost_saved_total 0', null, null]);
  await server!.close({ drainMsMax: 0 });
  data = { ...data, bounds: { ...data.bounds, pricePer1000Gets: 0.5 } };
  await start();
  expect(await costs()).toEqual(['seekfs_store_cost_total 2', 'seekfs_store_cost_saved_total 1', 2, 1]);
});

describe('the end', () => {
  test('what runs is finished, what comes is not accepted, and the connection closes', async () => {
    const url = await start();
    const { reached, open } = gate();
    const running = ask(`${url}/blob?ns=dev&path=a`);
    await reached;
    const closed = server!.close({ drainMsMax: 5000 });
    await expect(ask(`${url}/healthz`)).rejects.toThrow(/ECONNREFUSED/);
    open();
    const answer = await running;
    expect([answer.status, answer.headers.connection]).toEqual([200, 'close']);
    await closed;
  });

  test('what does not finish in time is broken off', async () => {
    const url = await start();
    const { reached, open } = gate();
    const failure = ask(`${url}/blob?ns=dev&path=a`).catch((error: unknown) => String(error));
    await reached;
    await server!.close({ drainMsMax: 10 });
    expect(await failure).toMatch(/hang up|ECONNRESET|aborted/);
    open();
    expect(data.metrics.get('seekfs_http_aborted_total', { by: 'shutdown' })).toBe(1);
  });
});

describe('TLS', () => {
  test.skipIf(!OPENSSL)('serves over a certificate and key, and takes a new one', async () => {
    const make = async (): Promise<{ certPem: string; keyPem: string }> => {
      const { cert, key } = await selfSigned(['IP:127.0.0.1']);
      return { certPem: cert.toString(), keyPem: key.toString() };
    };
    const [first, second] = [await make(), await make()];
    const url = await start({ tls: first });
    expect(url).toMatch(/^https:/);
    expect((await ask(`${url}/blob?ns=dev&path=a`, { ca: first.certPem })).body.toString()).toBe('0123456789');
    server!.reload({ tls: second });
    expect((await ask(`${url}/healthz`, { ca: second.certPem })).status).toBe(200);
    await expect(start({ tls: { ...first, keyPem: second.keyPem } })).rejects.toMatchObject({ code: 'config_invalid' });
  });
});
