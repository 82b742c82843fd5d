// The test of killed commands at length.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { Cli } from '../support/cli.ts';
import { killGet, killManifestGen, killPut, killWarm } from '../support/cli-kills.ts';
import { askedSeed } from '../support/seed.ts';

const KILLS = 60;

describe('a kill at any moment', () => {
  test.each([
    ['put', killPut],
    ['manifest gen', killManifestGen],
    ['get', killGet],
    ['warm', killWarm],
  ])('of %s leaves nothing half-written visible', async (name, kill) => {
    const seed = askedSeed('random');
    const report = await kill({ cli: await Cli.create(), random: seededRandom(seed), kills: KILLS });
    process.stdout.write(`${name}: ${JSON.stringify(report)} (again with SEEKFS_SEED=${seed})\n`);
    expect(report.kills).toBeGreaterThanOrEqual(KILLS);
    expect(report.midWork).toBeGreaterThan(0);
  });
});
