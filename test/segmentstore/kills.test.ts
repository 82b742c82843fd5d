// SIGKILL at random moments under four processes that write and read one cache. The same at length: test/soak.
import { test } from 'vitest';
import { expectKillsAreHarmless } from '../support/kill-harness.ts';

test('after a kill at any moment what was put is there, and no process ever sees a wrong byte', async () => {
  await expectKillsAreHarmless(30);
}, 240_000);
