import { once } from 'node:events';
import { expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { blockedExchange, openExchange, takeSome } from '../../support/blocked-exchange.ts';

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

test('slabs that are sent together leave in one write, with the head before them and the end behind', async () => {
  const { exchange, client, socket, slab, close } = await openExchange();
  const writes: number[] = [];
  const writev = socket._writev!.bind(socket);
  socket._writev = (chunks, done) => {
    writes.push(chunks.length);
    writev(chunks, done);
  };
  exchange.head(200, ['Content-Length', '3000']);
  await exchange.sendAll([slab('a'), slab('b')], false);
  await exchange.sendAll([slab('c')], true);
  expect(writes).toEqual([3]);
  const body = 'a'.repeat(1000) + 'b'.repeat(1000) + 'c'.repeat(1000);
  let received = '';
  client.on('data', (bytes: Buffer) => (received += bytes.toString())).resume();
  while (!received.endsWith(body)) await once(client, 'data');
  expect(received).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\na{1000}b{1000}c{1000}$/s);
  await close();
});

test('slabs that are sent together to who has gone are given back', async () => {
  const { exchange, slab, close } = await blockedExchange();
  exchange.head(200, ['Content-Length', '4000']);
  const sent = exchange.sendAll([slab(), slab()], false);
  exchange.breakOff(new SeekfsError('interrupted', 'enough'));
  await expect(sent).rejects.toThrow('enough');
  expect(() => exchange.sendAll([slab(), slab()], true)).toThrow('enough');
  await close();
});
