import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { KIB, MIB } from '../../../src/lib/base/units.ts';
import { FieldsOfEvery, QuickResponse } from '../../../src/lib/blobapi/quick-response.ts';
import { manualClock } from '../../support/manual-clock.ts';

/** Answers on two connections of one server, whose clients read nothing by themselves. */
async function twoConnections() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const fields = new FieldsOfEvery(manualClock(), 1000);
  const open = async () => {
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
    const [socket] = (await once(server, 'connection')) as [Socket];
    const answer = (body: Buffer): void => {
      const response = new QuickResponse(socket, fields, () => undefined);
      response.writeHead(200, ['Content-Length', String(body.length)]);
      response.end(body);
    };
    return { client, socket, answer };
  };
  const [slow, quick] = [await open(), await open()];
  const close = async (): Promise<void> => {
    for (const { client, socket } of [slow, quick]) {
      client.destroy();
      socket.destroy();
    }
    server.close();
    await once(server, 'close');
  };
  return { slow, quick, close };
}

/** The bodies of all that the server wrote to the client so far. */
async function bodiesOf({ client, socket }: { client: Socket; socket: Socket }, bodyBytes: number): Promise<string[]> {
  const { bytesWritten } = socket;
  let all = Buffer.alloc(0);
  while (all.length < bytesWritten) {
    const chunk = client.read() as Buffer | null;
    if (chunk) all = Buffer.concat([all, chunk]);
    else await once(client, 'readable');
  }
  const bodies: string[] = [];
  for (let at = 0; at < all.length;) {
    const start = all.indexOf('\r\n\r\n', at) + 4;
    at = start + bodyBytes;
    bodies.push(all.toString('latin1', start, at));
  }
  return bodies;
}

/** More than the network takes of a client that reads nothing. */
const ENOUGH_BYTES = 64 * MIB;

test('a small answer that the network has not taken yet keeps its bytes while others are answered', async () => {
  const { slow, quick, close } = await twoConnections();
  const bodyBytes = 8 * KIB;
  const letterOf = (index: number): string => String.fromCharCode(97 + (index % 26));
  let count = 0;
  while (slow.socket.writableLength === 0 && count * bodyBytes < ENOUGH_BYTES) {
    slow.answer(Buffer.alloc(bodyBytes, letterOf(count)));
    count += 1;
  }
  expect(slow.socket.writableLength).toBeGreaterThan(0);
  quick.answer(Buffer.alloc(bodyBytes, '!'));
  expect(await bodiesOf(quick, bodyBytes)).toEqual(['!'.repeat(bodyBytes)]);
  const bodies = await bodiesOf(slow, bodyBytes);
  expect(bodies).toHaveLength(count);
  for (const [index, body] of bodies.entries())
    expect(body === letterOf(index).repeat(bodyBytes), `${index}`).toBe(true);
  await close();
});

test('a small answer leaves in one piece, a larger one with its body as it is', async () => {
  const { quick, close } = await twoConnections();
  const pieces: number[] = [];
  const { socket } = quick;
  const [write, writev] = [socket._write.bind(socket), socket._writev!.bind(socket)];
  socket._write = (bytes: Buffer, encoding, done) => {
    pieces.push(1);
    write(bytes, encoding, done);
  };
  socket._writev = (chunks, done) => {
    pieces.push(chunks.length);
    writev(chunks, done);
  };
  for (const bodyBytes of [1, 4 * KIB, 16 * KIB]) quick.answer(Buffer.alloc(bodyBytes, 'a'));
  expect(pieces).toEqual([1, 1, 2]);
  await close();
});
