import { expect, test } from 'vitest';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { ActiveExchanges } from '../../../src/lib/blobapi/active-exchanges.ts';
import type { Exchange } from '../../../src/lib/blobapi/exchange.ts';

const exchangeOf = (id: string): Exchange => ({ id, place: 0 }) as Exchange;

test('has those that were added and not removed, in whatever order they come and go', () => {
  const random = seededRandom(61);
  const active = new ActiveExchanges();
  const expected = new Set<Exchange>();
  for (let step = 0; step < 5000; step += 1) {
    const some = [...expected];
    if (some.length === 0 || random.unit() < 0.5) {
      const exchange = exchangeOf(String(step));
      active.add(exchange);
      expected.add(exchange);
    } else {
      const exchange = some[Math.floor(random.unit() * some.length)]!;
      active.remove(exchange);
      expected.delete(exchange);
    }
    expect(active.size).toBe(expected.size);
    expect(new Set(active)).toEqual(expected);
  }
});

test('who goes through them may remove them meanwhile', () => {
  const active = new ActiveExchanges();
  const all = ['a', 'b', 'c', 'd'].map(exchangeOf);
  for (const exchange of all) active.add(exchange);
  const met: string[] = [];
  for (const exchange of active) {
    met.push(exchange.id);
    active.remove(exchange);
  }
  expect(met).toEqual(['a', 'b', 'c', 'd']);
  expect(active.size).toBe(0);
});
