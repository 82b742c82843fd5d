import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { MemoryGovernor } from '../../../src/lib/base/memory.ts';
import { DEFAULT_LIMITS, type Limits } from '../../../src/lib/blobapi/limits.ts';
import { startServer, type BlobServer } from '../../../src/lib/blobapi/server.ts';
import { SlowClients } from '../../../src/lib/blobapi/slow-clients.ts';
import { blockedExchange, takeSome } from '../../support/blocked-exchange.ts';
import { ask } from '../../support/http.ts';
import { memoryData, type MemoryData } from '../../support/memory-data.ts';
import { parseAnswers } from '../../support/raw-http.ts';

const BIG = Buffer.alloc(24 * MIB, 7);

let data: MemoryData;
let server: BlobServer;
let clients: Socket[];

beforeEach(() => {
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  await server.close({ drainMsMax: 0 });
  expect([data.memory.inUseBytes, data.memoryReader.open]).toEqual([0, 0]);
});

async function start(memoryBytes: number, limits: Partial<Limits>): Promise<void> {
  data = memoryData({ dev: [{ big: BIG, small: Buffer.from('small'), other: Buffer.alloc(KIB, 9) }] }, { memoryBytes });
  server = await startServer(data, { listen: { host: '127.0.0.1', port: 0 }, limits });
}

/** Asks for the big file and reads none of it. */
function stalledClient(): Socket {
  const client = connect(Number(new URL(server.url).port), '127.0.0.1');
  client.on('error', () => undefined);
  client.pause();
  client.write('GET /blob?ns=dev&path=big HTTP/1.1\r\nHost: x\r\n\r\n');
  clients.push(client);
  return client;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

const broken = (): number => data.metrics.get('seekfs_http_aborted_total', { by: 'stall' });

test('a client that takes nothing is broken off after a while', async () => {
  await start(16 * MIB, { writeStallMsMax: 50 });
  stalledClient();
  await until(() => broken() === 1);
});

test('clients that take nothing give way when a reader waits for their memory', async () => {
  await start(1 * MIB, { writeStallMsMax: 60_000, writeStallUnderPressureMsMax: 20 });
  for (let count = 0; count < 12; count += 1) stalledClient();
  // Until their own readers wait for each other; the first of them may already have been broken off for that.
  await until(() => broken() > 0 || (data.memory.inUseBytes === 1 * MIB && data.memory.waiting > 0));
  const answer = await ask(`${server.url}/blob?ns=dev&path=small`);
  expect(answer.body.toString()).toBe('small');
  expect(broken()).toBeGreaterThan(0);
});

test('answers that wait behind another are broken off with their connection, never sent with the bytes of others', async () => {
  await start(1 * MIB, { writeStallMsMax: 50, writeStallUnderPressureMsMax: 20 });
  const client = stalledClient();
  // Not a simple request: node:http has the connection, and queues what is answered meanwhile.
  const waiting = 'GET /blob?ns=dev&path=big&len=1000 HTTP/1.1\r\nHost: x\r\nCookie: a\r\n\r\n';
  client.write(waiting.repeat(12) + waiting.replace('Cookie: a', 'Connection: close'));
  await until(() => broken() > 0);
  for (let count = 0; count < 20; count += 1) await ask(`${server.url}/blob?ns=dev&path=other`);
  const chunks: Buffer[] = [];
  client.on('data', (chunk) => chunks.push(chunk));
  await new Promise((resolve) => client.once('close', resolve).resume());
  const { answers, isCut } = parseAnswers(Buffer.concat(chunks));
  expect(answers.map(({ body }) => body.every((byte) => byte === 7))).toEqual(answers.map(() => true));
  expect(isCut).toBe(true);
});

test('a client that reads slowly gets every byte', async () => {
  await start(1 * MIB, { writeStallMsMax: 2000, writeStallUnderPressureMsMax: 20 });
  const client = connect(Number(new URL(server.url).port), '127.0.0.1');
  clients.push(client);
  client.write('GET /blob?ns=dev&path=big&len=6000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  let received = 0;
  for await (const chunk of client as AsyncIterable<Buffer>) {
    received += chunk.length;
    await new Promise(setImmediate);
  }
  expect(received).toBeGreaterThan(6_000_000);
  expect(received).toBeLessThan(6_000_000 + KIB);
});

test('a hundred clients that vanish in the middle leave nothing behind', async () => {
  await start(8 * MIB, {});
  const gone = Array.from({ length: 100 }, async (_, index) => {
    const client = stalledClient();
    // Or until the server has broken it off.
    if (index % 2) await new Promise((resolve) => client.once('readable', resolve).once('close', resolve));
    client.destroy();
  });
  await Promise.all(gone);
  await until(() => data.memory.inUseBytes === 0 && data.memoryReader.open === 0);
  const text = (await ask(`${server.url}/metrics`)).body.toString();
  expect(text).toMatch(/seekfs_http_active_requests 1\n/);
});

test('of two clients that were blocked for long, the one that has taken something since is left alone', async () => {
  await start(MIB, {});
  const [moving, stuck] = [await blockedExchange(), await blockedExchange()];
  for (const { exchange, slab } of [moving, stuck]) {
    exchange.head(200, ['Content-Length', '1000']);
    void exchange.send(slab(), true);
  }
  const { _handle: handle } = moving.socket as Socket & { readonly _handle?: { readonly writeQueueSize: number } };
  const queuedBytes = handle!.writeQueueSize;
  while (handle!.writeQueueSize === queuedBytes) await takeSome(moving.client);
  for (const { clock } of [moving, stuck]) clock.advance(1000);
  let brokenOff = 0;
  const slowClients = new SlowClients({
    active: new Set([moving.exchange, stuck.exchange]),
    memory: new MemoryGovernor({ limitBytes: MIB }),
    clock: stuck.clock,
    limits: { ...DEFAULT_LIMITS, writeStallMsMax: 50 },
    onBreak: () => (brokenOff += 1),
  });
  await until(() => stuck.socket.destroyed);
  expect([brokenOff, moving.socket.destroyed]).toEqual([1, false]);
  slowClients.close();
  for (const { close } of [moving, stuck]) await close();
});
