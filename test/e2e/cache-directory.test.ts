// A cache directory that cannot be used: a warning, the right bytes, exit status 0.
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { MIB } from '../../src/lib/base/units.ts';
import { Cli } from '../support/cli.ts';

const bytes = Buffer.from(seededRandom(5).bytes(4 * MIB));
let cli: Cli;

beforeAll(async () => {
  cli = await Cli.create();
  await writeFile(join(cli.work, 'big.bin'), bytes);
  await cli.succeed(['put', 'dev', 'big.bin']);
});

/** A file system of its own needs privileges; where there are none the test says so and is passed over. */
const mounted: string[] = [];
function mountTmpfs(path: string, options: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path], { stdio: 'ignore' });
    mounted.push(path);
    return true;
  } catch {
    process.stderr.write('skipped: no privilege to mount a file system for the cache\n');
    return false;
  }
}
afterAll(() => {
  for (const path of mounted) execFileSync('umount', [path]);
});

const reads = [
  ['cat', 'dev', 'big.bin'],
  ['readv', 'dev', 'big.bin:0:4194304'],
];

async function expectReadThrough(cachePath: string): Promise<void> {
  for (const command of reads) {
    const { status, stdout, stderr } = await cli.run([...command, '--cache', cachePath]);
    expect({ status, right: stdout.equals(bytes) }, stderr).toEqual({ status: 0, right: true });
    const lines = stderr.trim().split('\n');
    expect(
      lines.every((line) => line.startsWith('warning: ')),
      stderr,
    ).toBe(true);
    expect(lines.length).toBeGreaterThan(0);
  }
}

test('who wants no cache on disk is not warned that there is none', async () => {
  const env = { SEEKFS_L2_SSD_GIB: '0' };
  const { stdout, stderr } = await cli.succeed(['cat', 'dev', 'big.bin', '--cache', join(cli.root, 'none')], { env });
  expect({ right: stdout.equals(bytes), stderr }).toEqual({ right: true, stderr: '' });
});

test.each(['a-file', 'a-file/cache'])('%s, which cannot be a directory, is one warning', async (name) => {
  await writeFile(join(cli.root, 'a-file'), 'in the way');
  const path = join(cli.root, name);
  for (const command of [...reads, ['put', 'dev', 'big.bin']]) {
    const { stderr, stdout } = await cli.succeed([...command, '--cache', path, '--no-progress']);
    const [warning, ...others] = stderr.split('\n').filter((line) => line.startsWith('warning: '));
    expect(warning).toMatch(/^warning: cannot make the cache directory \S+: .*; nothing is kept, give another/);
    expect(others).toEqual([]);
    if (command[0] !== 'put') expect(stdout.equals(bytes)).toBe(true);
  }
});

test('a read-only file system', async ({ skip }) => {
  const path = join(cli.root, 'read-only');
  await mkdir(path);
  skip(!mountTmpfs(path, 'ro,size=8m'));
  await expectReadThrough(path);
});

test('a full file system', async ({ skip }) => {
  const path = join(cli.root, 'full');
  await mkdir(path);
  skip(!mountTmpfs(path, 'size=64k'));
  await expectReadThrough(path);
});

test('a warm whose cache takes nothing fails, and says why', async () => {
  await writeFile(join(cli.root, 'in-the-way'), '');
  const { status, stderr } = await cli.run(['warm', 'dev', '--cache', join(cli.root, 'in-the-way/cache')]);
  expect(status).toBe(2);
  expect(stderr).toMatch(/^error: \S+in-the-way\/cache cannot be made: there is no cache on disk$/m);
  expect(stderr).not.toContain('GET');
});

test('warm does not call cached what only its own memory held', async ({ skip }) => {
  const path = join(cli.root, 'small');
  await mkdir(path);
  skip(!mountTmpfs(path, 'size=1m'));
  const { status, stdout } = await cli.run(['warm', 'dev', '--cache', path, '--json']);
  expect(status).toBe(3);
  const said = JSON.parse(stdout.toString()) as { bytes: number; present_bytes: number };
  const planned = await cli.json(['warm', 'dev', '--dry-run', '--cache', path]);
  expect(said.present_bytes).toBeLessThan(1 * MIB);
  expect(planned).toMatchObject({ missing_bytes: said.bytes - said.present_bytes });
});
