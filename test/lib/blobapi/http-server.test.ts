import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { createHttpServer } from '../../../src/lib/blobapi/http-server.ts';
import { DEFAULT_LIMITS } from '../../../src/lib/blobapi/limits.ts';

const PATHS = Array.from({ length: 20 }, (_, index) => `/${index}`);
const PIPELINE = PATHS.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join('');

/** A server that has read a pipeline of requests, of which nobody has answered one. */
async function pipelined() {
  const begun: { readonly path: string; readonly response: ServerResponse }[] = [];
  const server = createHttpServer(DEFAULT_LIMITS, undefined, ({ url }, response) =>
    begun.push({ path: url!, response }),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  client.write(PIPELINE);
  while (socket.bytesRead < PIPELINE.length) await once(socket, 'data');
  return { begun, server, client, socket };
}

test('requests of one pipeline are begun in turn, each when the answer before it is sent', async () => {
  const { begun, server, client } = await pipelined();
  client.resume();
  for (const [index, path] of PATHS.entries()) {
    while (begun.length <= index) await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(begun.map((one) => one.path)).toEqual(PATHS.slice(0, index + 1));
    expect(begun.at(-1)!.path).toBe(path);
    begun[index]!.response.end(path);
  }
  client.end();
  server.close();
  await once(server, 'close');
});

test('requests that wait when their connection ends are not begun', async () => {
  const { begun, server, client, socket } = await pipelined();
  client.destroy();
  if (!socket.closed) await once(socket, 'close');
  begun[0]!.response.end();
  server.close();
  await once(server, 'close');
  expect(begun.map((one) => one.path)).toEqual(PATHS.slice(0, 1));
});
