// Command sequences of fast-check against the model of store-model.ts: two processes, kills, power losses and damage.
import { expect, test } from 'vitest';
import { checkAgainstMap } from '../support/store-model.ts';

test('a segmentstore behaves like a map that may forget only what it is allowed to', async () => {
  const seen = await checkAgainstMap(100);
  expect(seen.hits).toBeGreaterThan(200);
  expect(seen.kills).toBeGreaterThan(60);
  expect(seen.damages).toBeGreaterThan(30);
});
