// The test of kills at length: 1,000 of them.
import { expect, test } from 'vitest';
import { compileForNode } from '../support/compiled.ts';
import { killWriters } from '../support/kill-harness.ts';
import { askedSeed } from '../support/seed.ts';

test('1,000 kills lose no page that was put, and serve no wrong byte', async () => {
  const [program] = await compileForNode(['test/support/programs/page-writer.ts']);
  const seed = askedSeed('random');
  const report = await killWriters({ program: program!, kills: 1000, seed });
  process.stdout.write(`kills: ${JSON.stringify(report)} (again with SEEKFS_SEED=${seed})\n`);
  expect(report.kills).toBeGreaterThanOrEqual(1000);
  expect(report.midAppend).toBeGreaterThanOrEqual(1000 / 3);
  expect(report.acknowledged).toBeGreaterThan(report.kills);
  expect(report.declined).toBeLessThan(report.acknowledged / 10);
  expect(report.hits).toBeGreaterThanOrEqual(report.acknowledged * 0.99);
});
