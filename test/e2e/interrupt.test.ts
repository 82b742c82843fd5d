// Ctrl-C and closed pipes in the middle of the work: the right exit status, nothing half-written, no fetch left.
import { once } from 'node:events';
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { GIB, MIB } from '../../src/lib/base/units.ts';
import { Cli, outcomeOf, snapshot } from '../support/cli.ts';
import { NamedPipe } from '../support/named-pipe.ts';
import { freshBucket, s3Peer } from '../support/peers.ts';
import { StallingProxy } from '../support/stalling-proxy.ts';

const FILE_BYTES = 24 * MIB;
const bytes = Buffer.from(seededRandom(11).bytes(FILE_BYTES));
const peer = await s3Peer();

/** Looks again and again until it is so; the test's own time limit ends what never comes. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setImmediate(resolve));
}

describe('on the embedded store', () => {
  let cli: Cli;
  beforeAll(async () => {
    cli = await Cli.create();
    await writeFile(join(cli.work, 'big.bin'), bytes);
    await cli.succeed(['put', 'dev', 'big.bin']);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('%s ends a cat that nobody reads with 130', async (signal) => {
    const child = cli.spawn(['cat', 'dev', 'big.bin']);
    // The first bytes are there, the rest waits in a full pipe.
    await once(child.stdout!, 'readable');
    child.kill(signal);
    const [code] = (await once(child, 'exit')) as [number | null];
    expect(code).toBe(130);
    child.stdout!.destroy();
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('%s ends a cat into a pipe that nobody reads with 130', async (signal) => {
    using pipe = await NamedPipe.create();
    const child = cli.spawn(['cat', 'dev', 'big.bin'], { stdout: pipe.writeEnd });
    const ended = outcomeOf(child);
    // It goes on to write, and hangs in a full pipe.
    await until(async () => pipe.take().length > 0);
    child.kill(signal);
    const { status, stderr } = await ended;
    expect({ status, stderr }).toEqual({ status: 130, stderr: 'error: interrupted\n' });
  });

  test('a reader that goes away ends cat quietly, and it did not read on', async () => {
    const child = cli.spawn(['cat', 'dev', 'big.bin', '--stats', '--cache', join(cli.root, 'unused')]);
    await once(child.stdout!, 'readable');
    expect((child.stdout!.read(10) as Buffer).equals(bytes.subarray(0, 10))).toBe(true);
    child.stdout!.destroy();
    const { status, stderr } = await outcomeOf(child);
    expect({ status, lines: stderr.trim().split('\n').length }).toEqual({ status: 0, lines: 1 });
  });

  test('an interrupted put publishes nothing, leaves no temporary file, and is repeated with success', async () => {
    // A sparse file that takes so long to read that no machine is done with it before the signal comes.
    const path = join(cli.work, 'next.bin');
    await writeFile(path, bytes);
    await truncate(path, 64 * GIB);
    const before = await objectsOf(cli);
    const child = cli.spawn(['put', 'dev', 'next.bin']);
    const ended = outcomeOf(child);
    // It has begun: its intent is in the store.
    const intents = join(cli.storePath, 'namespaces/dev/intents');
    await until(async () => (await readdir(intents).catch(() => [])).length > 0);
    child.kill('SIGINT');
    const { status, stderr } = await ended;
    expect({ status, stderr }).toEqual({ status: 130, stderr: 'error: interrupted\n' });
    expect(await objectsOf(cli)).toEqual(before);
    await truncate(path, bytes.length);
    await cli.succeed(['put', 'dev', 'next.bin']);
    expect(await cli.json(['manifest', 'head', 'dev'])).toMatchObject({ version: 2, files: 2 });
  });

  /** Without the lock, which changes hands. */
  async function objectsOf(user: Cli): Promise<object> {
    const all = Object.entries(await snapshot(user.storePath));
    return Object.fromEntries(all.filter(([path]) => !path.startsWith('/.seekfs/lock/')));
  }
});

describe.skipIf(!peer)('on an S3 server that stalls in the middle of an object', () => {
  let proxy: StallingProxy;
  let cli: Cli;
  let stalling: { env: Record<string, string> };

  beforeAll(async () => {
    const bucket = await freshBucket(peer!, 'cli');
    proxy = new StallingProxy(peer!.endpoint);
    stalling = { env: { SEEKFS_S3_ENDPOINT: await proxy.listen() } };
    cli = await Cli.create({
      SEEKFS_STORE: `s3://${bucket}`,
      SEEKFS_S3_ENDPOINT: peer!.endpoint,
      AWS_ACCESS_KEY_ID: peer!.accessKeyId,
      AWS_SECRET_ACCESS_KEY: peer!.secretAccessKey,
    });
    await writeFile(join(cli.work, 'big.bin'), bytes);
    await cli.succeed(['put', 'dev', 'big.bin', '--page-size', '1MiB']);
    // From here on the manifest is cached, and the first answers through the proxy are bytes of the object.
    await cli.succeed(['manifest', 'head', 'dev']);
  });

  afterAll(() => proxy?.close());

  test('a reader that goes away while the store stalls ends cat at once, and quietly', async () => {
    // No byte comes, so there is no write that could fail.
    proxy.stallAfter(0);
    const stalled = proxy.stalled();
    using pipe = await NamedPipe.create();
    const cache = ['--cache', join(cli.root, 'cache-of-cat')];
    const child = cli.spawn(['cat', 'dev', 'big.bin', '--at', '1', ...cache], { ...stalling, stdout: pipe.writeEnd });
    const ended = outcomeOf(child);
    pipe.close(pipe.writeEnd);
    await stalled;
    pipe.close(pipe.readEnd);
    const { status, stderr } = await ended;
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  test('Ctrl-C ends a get with 130; the file is not there, and the next get goes on from what is', async () => {
    proxy.stallAfter(18 * MIB);
    const stalled = proxy.stalled();
    const cache = ['--cache', join(cli.root, 'cache-of-get')];
    const child = cli.spawn(['get', 'dev', 'big.bin', 'copy.bin', '--at', '1', ...cache], stalling);
    const ended = outcomeOf(child);
    await stalled;
    await until(async () => (await readdir(cli.work)).some((name) => name.endsWith('.seekfs-part')));
    child.kill('SIGINT');
    const { status, stderr } = await ended;
    expect({ status, stderr }).toEqual({ status: 130, stderr: 'error: interrupted\n' });
    expect(await readdir(cli.work)).not.toContain('copy.bin');
    // The proxy hears of their end in its own time.
    await until(() => Promise.resolve(proxy.connections === 0));
    await cli.succeed(['get', 'dev', 'big.bin', 'copy.bin', '--at', '1', ...cache]);
    expect((await readFile(join(cli.work, 'copy.bin'))).equals(bytes)).toBe(true);
    expect((await readdir(cli.work)).filter((name) => name.endsWith('.seekfs-part'))).toEqual([]);
  });
});
