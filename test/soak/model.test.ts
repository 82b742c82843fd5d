// The model of the segmentstore with many more sequences.
import { expect, test } from 'vitest';
import { checkAgainstMap } from '../support/store-model.ts';

test('a segmentstore behaves like a map, whatever happens to it', async () => {
  const seen = await checkAgainstMap(10_000);
  expect(seen.hits).toBeGreaterThan(20_000);
  expect(seen.damages).toBeGreaterThan(5000);
});
