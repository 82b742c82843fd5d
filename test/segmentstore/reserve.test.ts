// The space that is left to others, on a real file system that four processes fill at once.
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { KIB, MIB } from '../../src/lib/base/units.ts';
import { compileForNode } from '../support/compiled.ts';
import type { SpaceReport, SpaceSettings } from '../support/programs/space-writers.ts';
import { askedSeed } from '../support/seed.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const DISK_BYTES = 64 * MIB;
const SETTINGS = {
  // More than there is: it is the reserve that binds.
  capacityBytes: 64 * MIB,
  freeReserveBytes: 24 * MIB,
  writers: 4,
  rounds: 12,
  pages: 10,
  pageBytes: 192 * KIB,
};
const SEGMENT_BYTES = SETTINGS.capacityBytes / 32;

/** Its mounts are nobody else's, and go with it. */
const NAMESPACES = [['--mount'], ['--user', '--map-root-user', '--mount']];

function canMount(namespace: readonly string[]): boolean {
  try {
    execFileSync('unshare', [...namespace, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const namespace = NAMESPACES.find(canMount);
if (!namespace) {
  const what = 'no mount namespace for a small file system to test the reserve on';
  if (process.env['SEEKFS_PEERS_REQUIRED'] === '1') throw new Error(what);
  process.stderr.write(`skipped, ${what}\n`);
}

async function fill(seed: number): Promise<SpaceReport[]> {
  const [program] = await compileForNode(['test/support/programs/space-writers.ts']);
  const directory = await temporaryDirectory('seekfs-reserve');
  const settings: SpaceSettings = { ...SETTINGS, directory, seed };
  const script = `mount -t tmpfs -o size=${DISK_BYTES} tmpfs "$1" && exec "$2" "$3" "$4"`;
  const operands = [directory, process.execPath, program!, JSON.stringify(settings)];
  const { stdout } = await promisify(execFile)('unshare', [...namespace!, 'sh', '-c', script, 'sh', ...operands]);
  const lines = stdout.trim().split('\n');
  return lines.map((line) => JSON.parse(line) as SpaceReport);
}

describe.skipIf(!namespace)('four processes that fill one file system', () => {
  test('leave the reserve free at every moment, within one segment, while they fill and empty what is left', async () => {
    const seed = askedSeed(1);
    const reports = await fill(seed);
    process.stdout.write(`reserve: ${JSON.stringify(reports)} (again with SEEKFS_SEED=${seed})\n`);
    expect(reports).toHaveLength(SETTINGS.writers);
    const freeBytes = Math.min(...reports.map((report) => report.freeBytes));
    expect(freeBytes).toBeGreaterThanOrEqual(SETTINGS.freeReserveBytes - SEGMENT_BYTES);
    // It was reached: each writer may hold room of a segment that it has not used.
    expect(freeBytes).toBeLessThan(SETTINGS.freeReserveBytes + (SETTINGS.writers + 1) * SEGMENT_BYTES);
    // And more than once: what was written fits only where other pages went.
    const writtenBytes = reports.reduce((sum, report) => sum + report.writtenBytes, 0);
    expect(writtenBytes).toBeGreaterThan(DISK_BYTES - SETTINGS.freeReserveBytes);
  }, 120_000);
});
