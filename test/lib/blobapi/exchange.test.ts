import { expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { blockedExchange, takeSome } from '../../support/blocked-exchange.ts';

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
