import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { MemoryGovernor, type Slab } from '../../../src/lib/base/memory.ts';
import { MIB } from '../../../src/lib/base/units.ts';
import { Exchange, type RequestHead } from '../../../src/lib/blobapi/exchange.ts';
import { FieldsOfEvery, QuickResponse } from '../../../src/lib/blobapi/quick-response.ts';
import { manualClock } from '../../support/manual-clock.ts';

/** More than the network takes of a client that reads nothing. */
const BEFORE = Buffer.alloc(48 * MIB);

/** An exchange on a connection whose network is full, and the client's end of it, which reads nothing by itself. */
async function blockedExchange() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
  const [socket] = (await once(server, 'connection')) as [Socket];
  socket.on('error', () => undefined);
  socket.write(BEFORE);
  const memory = new MemoryGovernor({ limitBytes: MIB });
  const clock = manualClock();
  const response = new QuickResponse(socket, new FieldsOfEvery(clock, 1000), () => undefined);
  const request = { socket, headers: {}, httpVersion: '1.1', complete: true, method: 'GET' } as unknown as RequestHead;
  const exchange = new Exchange({ request, response, id: 'a', client: 'b', startedMs: 0, clock });
  socket.on('drain', () => response.drained());
  const close = async (): Promise<void> => {
    exchange.closed();
    client.destroy();
    socket.destroy();
    server.close();
    await once(server, 'close');
    expect(memory.inUseBytes).toBe(0);
  };
  return { exchange, client, socket, clock, slab: (): Slab => memory.tryAcquireOne(1000)!, close };
}

/** The client takes what is there, once. */
async function takeSome(client: Socket): Promise<void> {
  while (client.read() === null) await once(client, 'readable');
}

test('a client that takes a part of a long write is blocked only from then on, also where the write is not over', async () => {
  const { exchange, client, socket, clock, slab, close } = await blockedExchange();
  exchange.head(200, ['Content-Length', '1000']);
  void exchange.send(slab(), true);
  const { writableLength } = socket;
  const since = exchange.blockedSinceMs!;
  clock.advance(1000);
  exchange.lookForProgress();
  expect(exchange.blockedSinceMs).toBe(since);
  while (exchange.blockedSinceMs === since) {
    await takeSome(client);
    exchange.lookForProgress();
  }
  expect(exchange.blockedSinceMs).toBe(since + 1000);
  expect(socket.writableLength).toBe(writableLength);
  await close();
});

test('what is sent ahead of a slab leaves no promise behind that fails with the connection', async () => {
  const { exchange, slab, close } = await blockedExchange();
  exchange.head(200, ['Content-Length', '1010']);
  expect(exchange.sendAhead('0123456789')).toBe(false);
  const sent = exchange.send(slab(), false);
  exchange.breakOff(new SeekfsError('interrupted', 'enough'));
  await expect(sent).rejects.toThrow('enough');
  await close();
});
