// Crowds of clients that want nothing good: connections that stand half-open, and clients that go away in the middle. A
// good client is served all the while, and what the others held comes back, as /proc and /metrics count it.
import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MIB } from '../../src/lib/base/units.ts';
import { ask } from '../support/http.ts';
import { metricOf, seekfs, startServe, until, type ServeProcess } from '../support/serve-process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const BYTES = randomBytes(24 * MIB);
const CONNECTIONS = 10_000;
/** For both processes' own files. */
const DESCRIPTORS_SPARE = 300;

let directory: string;
let serve: ServeProcess;

beforeEach(async () => {
  directory = await temporaryDirectory('seekfs-crowd');
  await writeFile(join(directory, 'a.bin'), BYTES);
  await seekfs(directory, 'put', 'dev', 'a.bin');
});

afterEach(async () => {
  expect(await serve.stop()).toBe(0);
});

const descriptors = async (): Promise<number> => (await readdir(`/proc/${serve.child.pid}/fd`)).length;

/** From an address of its own, so that what it does counts against no good client. */
function open(port: number, bytes: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      socket.on('error', () => undefined);
      socket.write(bytes, () => resolve(socket));
    });
  });
}

async function openMany(count: number, bytesOf: (index: number) => string): Promise<Socket[]> {
  const port = Number(new URL(serve.url).port);
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(250, count - sockets.length) }, (_, index) =>
      open(port, bytesOf(sockets.length + index)),
    );
    sockets.push(...(await Promise.all(batch)));
  }
  return sockets;
}

async function nothingIsLeft(descriptorsBefore: number): Promise<void> {
  await until(async () => (await metricOf(serve.url, 'seekfs_http_active_requests')) === 1);
  await until(async () => (await metricOf(serve.url, 'seekfs_http_connections')) <= 1);
  await until(async () => (await metricOf(serve.url, 'seekfs_store_inflight_gets')) === 0);
  await until(async () => (await metricOf(serve.url, 'seekfs_memory_waiting')) === 0);
  // What L1 keeps is all that is held.
  await until(
    async () =>
      (await metricOf(serve.url, 'seekfs_memory_in_use_bytes')) === (await metricOf(serve.url, 'seekfs_l1_bytes')),
  );
  // Beside those of the cache's own segment and of this very question.
  await until(async () => (await descriptors()) <= descriptorsBefore + 4);
}

/** Descriptors that a process may have here, as Node raises its own soft limit to it. */
async function descriptorsMax(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'utf8');
  return Number(/^Max open files +\d+ +(\d+)/m.exec(limits)![1]);
}

test(
  '10,000 connections that stand half-open do not stop a good client',
  { timeout: 300_000 },
  async ({ annotate }) => {
    const count = Math.min(CONNECTIONS, (await descriptorsMax()) - DESCRIPTORS_SPARE);
    if (count < CONNECTIONS) await annotate(`only ${count} connections: no more descriptors are allowed here`);
    const longMs = '600000';
    const patience = ['--header-timeout-ms', longMs, '--body-timeout-ms', longMs, '--idle-timeout-ms', longMs];
    serve = await startServe(directory, '--workers', '1', ...patience);
    expect((await ask(`${serve.url}/blob?ns=dev&path=a.bin&len=1`)).status).toBe(200);
    const before = await descriptors();
    const halves = [
      '',
      'GET /blob?ns=dev&pa',
      'GET /blob?ns=dev&path=a.bin HTTP/1.1\r\nHost: x\r\nRange: by',
      'G',
      // Counts as a request that is under way; few enough for this address's share.
      'POST /readv?ns=dev HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[{"pa',
    ];
    const sockets = await openMany(count, (index) => halves[index % 20 === 0 ? 4 : index % 4]!);
    try {
      expect(await metricOf(serve.url, 'seekfs_http_connections')).toBeGreaterThanOrEqual(count);
      expect(await descriptors()).toBeGreaterThanOrEqual(count);
      for (let number = 0; number < 100; number += 1) {
        const off = number * 100_003;
        const { status, body } = await ask(`${serve.url}/blob?ns=dev&path=a.bin&off=${off}&len=50000`);
        expect([status, body.equals(BYTES.subarray(off, off + 50_000))]).toEqual([200, true]);
      }
      expect(await metricOf(serve.url, 'seekfs_http_connections')).toBeGreaterThanOrEqual(count);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    await nothingIsLeft(before);
  },
);

test('200 clients that vanish in the middle of cold answers leave no memory, descriptor or fetch', async () => {
  serve = await startServe(directory, '--workers', '1');
  await ask(`${serve.url}/healthz`);
  const before = await descriptors();
  let broken = 0;
  for (let round = 0; round < 4; round += 1) {
    const off = round * 1_000_003;
    const target = `/blob?ns=dev&path=a.bin&off=${off}`;
    const sockets = await openMany(50, () => `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await Promise.all(
      sockets.map(
        (socket, index) =>
          new Promise<void>((resolve) => {
            let received = 0;
            socket.once('close', () => resolve());
            const leave = (): void => {
              if (received < BYTES.length - off) broken += 1;
              socket.destroy();
            };
            // Some go before the first byte, some in the middle of the body.
            if (index % 5 === 0) leave();
            socket.on('data', (chunk) => {
              received += chunk.length;
              if (received > index * 1000) leave();
            });
          }),
      ),
    );
  }
  expect(broken).toBe(200);
  await nothingIsLeft(before);
  const { body } = await ask(`${serve.url}/blob?ns=dev&path=a.bin`);
  expect(body.equals(BYTES)).toBe(true);
});
