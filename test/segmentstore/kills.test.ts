// SIGKILL at random moments under four processes that write and read one cache. The same at length: test/soak.
import { expect, test } from 'vitest';
import { compileForNode } from '../support/compiled.ts';
import { killWriters } from '../support/kill-harness.ts';
import { askedSeed } from '../support/seed.ts';

test('after a kill at any moment what was put is there, and no process ever sees a wrong byte', async () => {
  const [program] = await compileForNode(['test/support/programs/page-writer.ts']);
  const seed = askedSeed('random');
  const report = await killWriters({ program: program!, kills: 30, seed });
  process.stdout.write(`kills: ${JSON.stringify(report)} (again with SEEKFS_SEED=${seed})\n`);
  expect(report.kills).toBeGreaterThanOrEqual(30);
  expect(report.midAppend).toBeGreaterThanOrEqual(30 / 3);
  expect(report.acknowledged).toBeGreaterThan(report.kills);
  expect(report.declined).toBeLessThan(report.acknowledged / 10);
  expect(report.hits).toBeGreaterThanOrEqual(report.acknowledged * 0.99);
}, 240_000);
