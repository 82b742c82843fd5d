// The main job on real input: a tree of more than 10,000 files (what npm installed for this repository) and a file of
// more than 1 GiB (tar archives of it), put, warmed and read back whole and by random extents, against the source.
import { createHash } from 'node:crypto';
import { execFileSync, type ChildProcess } from 'node:child_process';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { mkdir, open, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { GIB, MIB } from '../../src/lib/base/units.ts';
import { Cli, statsOf } from '../support/cli.ts';
import { freshBucket, s3Peer } from '../support/peers.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const installed = fileURLToPath(new URL('../../node_modules', import.meta.url));
const peer = await s3Peer();
const SEED = 20261121;
const EXTENTS = 300;

/** A copy: tools write into what is installed while tests run. */
let tree: string;
let big: string;
let bigSha256: string;
let paths: string[];

beforeAll(async () => {
  const directory = await temporaryDirectory('seekfs-real');
  big = join(directory, 'big.tar');
  tree = join(directory, 'tree');
  await mkdir(tree);
  execFileSync('tar', ['cf', big, '--exclude=./.vite*', '--exclude=./.cache', '.'], { cwd: installed });
  execFileSync('tar', ['xf', big], { cwd: tree });
  while (statSync(big).size < GIB) {
    execFileSync('sh', ['-c', 'cat "$1" "$1" > "$1.two" && mv "$1.two" "$1"', 'sh', big]);
  }
  bigSha256 = await sha256OfFile(big);
  const entries = await readdir(tree, { recursive: true, withFileTypes: true });
  paths = entries.filter((entry) => entry.isFile()).map((entry) => relative(tree, join(entry.parentPath, entry.name)));
  expect(paths.length).toBeGreaterThan(10_000);
}, 300_000);

async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: MIB })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

interface Streamed {
  readonly sha256: string;
  readonly stderr: string;
  readonly peakBytes: number;
}

/** Reads the whole output of a command, and how much memory it ever had. */
async function stream(child: ChildProcess): Promise<Streamed> {
  const hash = createHash('sha256');
  let stderr = '';
  let peakBytes = 0;
  let sinceLook = 0;
  child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdout!.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    sinceLook += chunk.length;
    if (sinceLook < 16 * MIB) return;
    sinceLook = 0;
    // Its last bytes may be read when it is gone.
    if (child.exitCode !== null) return;
    const peakKib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
    peakBytes = Math.max(peakBytes, Number(peakKib ?? 0) * 1024);
  });
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  expect(status, stderr).toBe(0);
  return { sha256: hash.digest('hex'), stderr, peakBytes };
}

async function randomExtents(): Promise<{ extents: object[]; expected: string }> {
  const random = seededRandom(SEED);
  const hash = createHash('sha256');
  const extents = [];
  for (let index = 0; index < EXTENTS; index += 1) {
    const path = random.unit() < 0.5 ? undefined : paths[Math.floor(random.unit() * paths.length)]!;
    const source = path === undefined ? big : join(tree, path);
    const { size } = statSync(source);
    const off = Math.floor(random.unit() * Math.max(0, size - 1));
    const len = Math.floor(random.unit() * 100_000);
    const bytes = Buffer.alloc(Math.min(len, size - off));
    const file = await open(source);
    await file.read(bytes, 0, bytes.length, off);
    await file.close();
    hash.update(bytes);
    extents.push({ path: path === undefined ? 'big.tar' : `tree/${path}`, off, len });
  }
  return { extents, expected: hash.digest('hex') };
}

async function mainJob(cli: Cli, store: readonly string[], putFlags: readonly string[]): Promise<void> {
  await cli.succeed(['put', 'real', `${tree}/`, '--prefix', 'tree', ...putFlags, ...store]);
  await cli.succeed(['put', 'real', big, ...store]);

  const cold = await stream(cli.spawn(['cat', 'real', 'big.tar', '--stats', ...store]));
  expect(cold.sha256).toBe(bigSha256);
  expect(cold.peakBytes).toBeGreaterThan(0);
  expect(cold.peakBytes).toBeLessThanOrEqual(320 * MIB);

  // A cold read may leave out what a disk that stands still did not take; with `warm` the gigabyte is in the cache.
  await cli.succeed(['warm', 'real', 'big.tar', '--at', '2', ...store]);
  const warm = await stream(cli.spawn(['cat', 'real', 'big.tar', '--at', '2', '--stats', ...store]));
  expect(warm.sha256).toBe(bigSha256);
  expect(warm.peakBytes).toBeLessThanOrEqual(256 * MIB);
  expect(statsOf({ status: 0, stdout: Buffer.alloc(0), stderr: warm.stderr })).toMatchObject({
    gets: 0,
    meta_gets: 0,
    heads: 0,
    lists: 0,
  });

  await cli.succeed(['warm', 'real', ...store]);
  await cli.succeed(['warm', 'real', '--check', ...store]);
  const { extents, expected } = await randomExtents();
  const input = JSON.stringify(extents);
  const read = await cli.succeed(['readv', 'real', '--file', '-', '--at', '2', '--stats', ...store], { input });
  expect(createHash('sha256').update(read.stdout).digest('hex'), `seed ${SEED}`).toBe(expected);
  expect(statsOf(read)['gets']).toBe(0);

  const destination = join(cli.work, 'out');
  await cli.succeed(['get', 'real', 'tree/', destination, '--at', '2', ...store]);
  const differing = [];
  for (const path of paths) {
    if (!readFileSync(join(tree, path)).equals(readFileSync(join(destination, path)))) differing.push(path);
  }
  expect(differing).toEqual([]);
}

test('10,000 files and a gigabyte on the directory store', async () => {
  const cli = await Cli.create();
  await mainJob(cli, [], []);
}, 600_000);

describe.skipIf(!peer)('on a real S3 server', () => {
  test('10,000 files, packed, and a gigabyte', async () => {
    const cli = await Cli.create({
      AWS_ENDPOINT_URL: peer!.endpoint,
      AWS_REGION: peer!.region,
      AWS_ACCESS_KEY_ID: peer!.accessKeyId,
      AWS_SECRET_ACCESS_KEY: peer!.secretAccessKey,
    });
    await mainJob(cli, ['--store', `s3://${await freshBucket(peer!, 'real')}`], ['--pack']);
  }, 900_000);
});
