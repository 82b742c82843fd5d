// SIGKILL at random moments of the commands that write: nothing half-written is ever visible, and the next command works.
// The same at length: test/soak/cli-kills.test.ts.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { Cli } from '../support/cli.ts';
import { killGet, killManifestGen, killPut, killWarm } from '../support/cli-kills.ts';
import { askedSeed } from '../support/seed.ts';

const KILLS = 3;

describe('a kill at any moment', () => {
  test.each([
    ['put', killPut],
    ['manifest gen', killManifestGen],
    ['get', killGet],
    ['warm', killWarm],
  ])(
    'of %s leaves nothing half-written visible',
    async (name, kill) => {
      const seed = askedSeed('random');
      const report = await kill({ cli: await Cli.create(), random: seededRandom(seed), kills: KILLS });
      process.stdout.write(`${name}: ${JSON.stringify(report)} (again with SEEKFS_SEED=${seed})\n`);
      expect(report.kills).toBeGreaterThanOrEqual(KILLS);
      expect(report.midWork).toBeGreaterThan(0);
    },
    240_000,
  );
});
