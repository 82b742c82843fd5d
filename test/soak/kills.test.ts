// The test of kills at length: 1,000 of them.
import { test } from 'vitest';
import { expectKillsAreHarmless } from '../support/kill-harness.ts';

test('1,000 kills lose no page that was put, and serve no wrong byte', async () => {
  await expectKillsAreHarmless(1000);
});
