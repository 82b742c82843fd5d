// An exchange whose client reads nothing by itself, on a real connection, also one that takes no more.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect } from 'vitest';
import { MemoryGovernor, type Slab } from '../../src/lib/base/memory.ts';
import { MIB } from '../../src/lib/base/units.ts';
import { Exchange, type RequestHead } from '../../src/lib/blobapi/exchange.ts';
import { FieldsOfEvery, QuickResponse } from '../../src/lib/blobapi/quick-response.ts';
import { manualClock } from './manual-clock.ts';

/** More than the network takes of a client that reads nothing. */
const BEFORE = Buffer.alloc(48 * MIB);

/** An exchange on a connection whose network is full, and the client's end of it, which reads nothing by itself. */
export async function blockedExchange() {
  const open = await openExchange();
  open.socket.write(BEFORE);
  return open;
}

/** An exchange on a real connection, and the client's end of it, which reads nothing by itself. */
export async function openExchange() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
  const [socket] = (await once(server, 'connection')) as [Socket];
  socket.on('error', () => undefined);
  const memory = new MemoryGovernor({ limitBytes: MIB });
  const clock = manualClock();
  const response = new QuickResponse(socket, new FieldsOfEvery(clock, 1000), () => undefined);
  const request = { socket, headers: {}, httpVersion: '1.1', complete: true, method: 'GET' } as unknown as RequestHead;
  const exchange = new Exchange({ request, response, id: 'a', client: 'b', startedMs: 0, clock });
  socket.on('drain', () => response.drained());
  /** Of a thousand bytes. */
  const slab = (letter = ' '): Slab => {
    const taken = memory.tryAcquireOne(1000)!;
    taken.bytes.fill(letter);
    return taken;
  };
  const close = async (): Promise<void> => {
    exchange.closed();
    client.destroy();
    socket.destroy();
    server.close();
    await once(server, 'close');
    expect(memory.inUseBytes).toBe(0);
  };
  return { exchange, client, socket, clock, slab, close };
}

/** The client takes what is there, once. */
export async function takeSome(client: Socket): Promise<void> {
  while (client.read() === null) await once(client, 'readable');
}
