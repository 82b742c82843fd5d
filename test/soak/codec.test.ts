// The fuzz target of manifests and indexes for as long as SEEKFS_FUZZ_SECONDS says (60 by default), from SEEKFS_SEED.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareKeys } from '../../src/lib/objectstore/key.ts';
import { fuzzCodec } from '../support/codec-fuzz.ts';
import { anyEntries } from '../support/file-entries.ts';
import { askedSeed } from '../support/seed.ts';

test('no damaged or forged manifest or index is taken for another, or breaks its reader', async () => {
  const seed = askedSeed('random');
  const endMs = performance.now() + 1000 * Number(process.env['SEEKFS_FUZZ_SECONDS'] ?? 60);
  for (let round = 0; performance.now() < endMs; round += 1) {
    const [entries = []] = fc.sample(anyEntries(30), { seed: seed + round, numRuns: 1 });
    entries.sort((a, b) => compareKeys(a.path, b.path));
    if (entries.length === 0) continue;
    const goOn = (cases: number): boolean => cases < 5000 && performance.now() < endMs;
    const report = await fuzzCodec({ seed: seed + round, entries, goOn });
    process.stdout.write(`${JSON.stringify(report)} (again with SEEKFS_SEED=${seed + round})\n`);
    expect(report.cases).toBeGreaterThan(0);
  }
});
