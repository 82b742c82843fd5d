// Kills commands with SIGKILL at random moments of their lives, and looks at what is left the way a user would: through
// the next command. Used by the test of every day and by the soak.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { seededRandom, type Random } from '../../src/lib/base/random.ts';
import { checkSegmentStore } from '../../src/lib/cache/check.ts';
import { nodeDisk } from '../../src/lib/disk/node-disk.ts';
import { Cli, statsOf } from './cli.ts';
import { askedSeed } from './seed.ts';

interface CommandKills {
  readonly kills: number;
  /** Kills that left something: files that were not there before, and work that was not done. */
  readonly midWork: number;
}

const FILES = 12;
/** With what is looked at after it, on a busy machine; ends what hangs. */
const KILL_MS_MAX = 80_000;

function contentOf(seed: number): Map<string, Buffer> {
  const random = seededRandom(seed);
  const files = new Map<string, Buffer>();
  for (let file = 0; file < FILES; file += 1) {
    const length = file % 3 === 0 ? 3_000_000 : Math.floor(random.unit() * 200_000);
    const bytes = Buffer.alloc(length, random.bytes(997));
    if (length >= 4) bytes.writeUInt32LE(file, 0);
    files.set(`set/${file}.bin`, bytes);
  }
  return files;
}

async function writeTree(directory: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  await mkdir(join(directory, 'set'), { recursive: true });
  for (const [path, bytes] of files) await writeFile(join(directory, path), bytes);
}

async function filesUnder(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

/**
 * Kills the command at a random moment of its life; every other time at one that comes soon after the first trace of its
 * work in `directory`. True where it was killed before it was done.
 */
async function killedAtRandom(
  cli: Cli,
  args: readonly string[],
  life: { readonly ms: number; readonly random: Random; readonly directory: string; readonly round: number },
): Promise<boolean> {
  const { ms, random, directory, round } = life;
  const before = (await filesUnder(directory)).join();
  const child = cli.spawn(args);
  child.stdout!.resume();
  child.stderr!.resume();
  const closed = once(child, 'close');
  const done = new AbortController();
  child.once('exit', () => done.abort());
  if (round % 2 === 0) while (!done.signal.aborted && (await filesUnder(directory)).join() === before);
  // The first third of a life is the start of Node.
  const waitMs = round % 2 === 0 ? ms * 0.02 * random.unit() : ms * (0.3 + 0.8 * random.unit());
  await delay(waitMs, undefined, { signal: done.signal }).catch(() => undefined);
  child.kill('SIGKILL');
  const [, signal] = (await closed) as [number | null, string | null];
  return signal === 'SIGKILL';
}

async function lifeOf(cli: Cli, args: readonly string[]): Promise<number> {
  const begin = performance.now();
  await cli.succeed(args);
  return performance.now() - begin;
}

/** The current version, its files downloaded and compared with one of the states that it may be in. */
async function expectOneOf(cli: Cli, states: readonly ReadonlyMap<string, Buffer>[]): Promise<number> {
  const into = join(cli.root, 'look');
  await cli.succeed(['get', 'dev', `${into}/`]);
  const names = await filesUnder(into);
  const matching = [];
  for (const [index, files] of states.entries()) {
    if (names.join() !== [...files.keys()].sort().join()) continue;
    const bytes = await Promise.all(names.map((name) => readFile(join(into, name))));
    if (bytes.every((one, at) => one.equals(files.get(names[at]!)!))) matching.push(index);
  }
  await rm(into, { recursive: true, force: true });
  if (matching.length === 0) throw new Error(`HEAD shows a state that nobody published: ${names.join(' ')}`);
  return matching[0]!;
}

/** Objects that are named by their content have that content. */
async function expectWholeObjects(cli: Cli): Promise<void> {
  for (const name of await filesUnder(cli.storePath)) {
    const digest = /v-([0-9a-f]{64})$/.exec(name)?.[1];
    if (!digest || name.startsWith('.seekfs/tmp/')) continue;
    const actual = createHash('sha256')
      .update(await readFile(join(cli.storePath, name)))
      .digest('hex');
    if (actual !== digest) throw new Error(`the object ${name} is not what its name says`);
  }
}

interface Scene {
  readonly cli: Cli;
  readonly random: Random;
  readonly kills: number;
}

/** Until there were enough kills, and one of them in the middle of the work: not every machine is the same speed. */
function goesOn(report: CommandKills, kills: number, round: number): boolean {
  return (report.kills < kills || report.midWork === 0) && round < 20 * kills;
}

async function killPut({ cli, random, kills }: Scene): Promise<CommandKills> {
  const report = { kills: 0, midWork: 0 };
  let published = contentOf(1);
  await writeTree(cli.work, published);
  const ms = await lifeOf(cli, ['put', 'dev', 'set']);
  for (let round = 0; goesOn(report, kills, round); round += 1) {
    const next = contentOf(100 + round);
    await writeTree(cli.work, next);
    const before = await filesUnder(cli.storePath);
    if (await killedAtRandom(cli, ['put', 'dev', 'set'], { ms, random, directory: cli.storePath, round }))
      report.kills += 1;
    const after = await filesUnder(cli.storePath);
    await expectWholeObjects(cli);
    const state = await expectOneOf(cli, [published, next]);
    if (state === 0 && after.some((name) => !before.includes(name) && !name.includes('/lock'))) report.midWork += 1;
    // Nothing is stuck: the same put again succeeds.
    await cli.succeed(['put', 'dev', 'set']);
    await expectOneOf(cli, [next]);
    published = next;
  }
  return report;
}

async function killManifestGen({ cli, random, kills }: Scene): Promise<CommandKills> {
  const report = { kills: 0, midWork: 0 };
  const objects = join(cli.storePath, 'namespaces/dev/files');
  const journals = join(cli.cachePath, 'journals');
  let published = contentOf(1);
  await writeTree(objects, published);
  const ms = await lifeOf(cli, ['manifest', 'gen', 'dev', '--page-size', '64KiB']);
  for (let round = 0; goesOn(report, kills, round); round += 1) {
    const next = contentOf(200 + round);
    // A file that was overwritten is no longer what the version before says; so the change is in new files.
    const added = new Map([...next].map(([path, bytes]) => [path.replace('.bin', `-${round}.bin`), bytes] as const));
    await writeTree(objects, added);
    const union = new Map([...published, ...added]);
    const args = ['manifest', 'gen', 'dev', '--page-size', '64KiB'];
    if (await killedAtRandom(cli, args, { ms, random, directory: journals, round })) report.kills += 1;
    const state = await expectOneOf(cli, [published, union]);
    if (state === 0 && (await filesUnder(journals)).length > 0) report.midWork += 1;
    await cli.succeed(args);
    await expectOneOf(cli, [union]);
    published = union;
    if (published.size > 5 * FILES) {
      await rm(objects, { recursive: true });
      published = contentOf(300 + round);
      await writeTree(objects, published);
      await cli.succeed(args);
    }
  }
  return report;
}

async function killGet({ cli, random, kills }: Scene): Promise<CommandKills> {
  const report = { kills: 0, midWork: 0 };
  const files = contentOf(1);
  await writeTree(cli.work, files);
  await cli.succeed(['put', 'dev', 'set']);
  const into = join(cli.root, 'into');
  const cold = ['get', 'dev', `${into}/`, '--cache', join(cli.root, 'other-cache')];
  const ms = await lifeOf(cli, cold);
  for (let round = 0; goesOn(report, kills, round); round += 1) {
    await rm(into, { recursive: true, force: true });
    await rm(join(cli.root, 'other-cache'), { recursive: true, force: true });
    if (await killedAtRandom(cli, cold, { ms, random, directory: into, round })) report.kills += 1;
    const names = await filesUnder(into);
    let whole = 0;
    for (const name of names) {
      const wanted = files.get(name);
      if (!wanted) continue;
      // Under its own name a file is there whole or not at all.
      if (!(await readFile(join(into, name))).equals(wanted)) throw new Error(`${name} is there in part`);
      whole += 1;
    }
    if (names.length > 0 && whole < files.size) report.midWork += 1;
    await cli.succeed(cold);
    if ((await filesUnder(into)).join() !== [...files.keys()].sort().join()) {
      throw new Error(`get left over: ${(await filesUnder(into)).join(' ')}`);
    }
    for (const [name, bytes] of files) {
      if (!(await readFile(join(into, name))).equals(bytes)) throw new Error(`${name} is wrong`);
    }
  }
  return report;
}

async function killWarm({ cli, random, kills }: Scene): Promise<CommandKills> {
  const report = { kills: 0, midWork: 0 };
  const files = contentOf(1);
  await writeTree(cli.work, files);
  await cli.succeed(['put', 'dev', 'set', '--page-size', '64KiB']);
  const ms = await lifeOf(cli, ['warm', 'dev']);
  for (let round = 0; goesOn(report, kills, round); round += 1) {
    await rm(cli.cachePath, { recursive: true, force: true });
    if (await killedAtRandom(cli, ['warm', 'dev'], { ms, random, directory: join(cli.cachePath, 'segments'), round }))
      report.kills += 1;
    const { findings, payloadBytes } = await checkSegmentStore({
      disk: nodeDisk,
      directoryPath: cli.cachePath,
      deep: true,
    });
    const problems = findings.filter(({ severity }) => severity === 'problem');
    if (problems.length > 0) throw new Error(`the cache is damaged: ${JSON.stringify(problems[0])}`);
    const total = [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
    if (payloadBytes > 0 && payloadBytes < total) report.midWork += 1;
    await cli.succeed(['warm', 'dev']);
    for (const path of ['set/0.bin', 'set/11.bin']) {
      const read = await cli.succeed(['cat', 'dev', path, '--stats']);
      if (!read.stdout.equals(files.get(path)!)) throw new Error(`${path} is wrong`);
      if (statsOf(read)['gets'] !== 0) throw new Error(`${path} was not warm`);
    }
  }
  return report;
}

/** A test for each command, of so many kills. */
export function describeKills(kills: number): void {
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
        const report = await kill({ cli: await Cli.create(), random: seededRandom(seed), kills });
        process.stdout.write(`${name}: ${JSON.stringify(report)} (again with SEEKFS_SEED=${seed})\n`);
        expect(report.kills).toBeGreaterThanOrEqual(kills);
        expect(report.midWork).toBeGreaterThan(0);
      },
      kills * KILL_MS_MAX,
    );
  });
}
