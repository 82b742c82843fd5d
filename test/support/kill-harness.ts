// Four processes share a segmentstore; again and again one of them is killed with SIGKILL at a random moment, and what
// it had put is looked for by a process that knows nothing. Used by the test of every day and by the soak.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { seededRandom, type Random } from '../../src/lib/base/random.ts';
import { nodeDisk } from '../../src/lib/disk/node-disk.ts';
import { readFooter, readSegmentHeader, scanRecords } from '../../src/lib/segment/scan.ts';
import { compileForNode } from './compiled.ts';
import type { WriterMessage } from './programs/page-writer.ts';
import { askedSeed } from './seed.ts';
import { openTestStore, testPage } from './segment-store.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const WRITERS = 4;
const PAGE_BYTES = 192 * 1024;
/** Segments of 24 MiB, and room for those that the dead leave behind. */
const CAPACITY_BYTES = 768 * 1024 * 1024;
const KILLS_A_DIRECTORY = 10;
const KILL_DELAY_MS_MAX = 10;

interface KillReport {
  readonly seed: number;
  /** As many as were asked for, and more, up to ten times as many, where too few of those came in the middle of an append. */
  readonly kills: number;
  /** Kills after which the dead writer's segment ended in part of a record. */
  readonly midAppend: number;
  /** Puts that the cache declined: too many of them and the test tests nothing. */
  readonly declined: number;
  /** Puts that had returned before the kill, and how many of their pages were hits after it. */
  readonly acknowledged: number;
  readonly hits: number;
}

interface Life {
  readonly name: string;
  readonly child: ChildProcess;
  readonly pages: number[];
  appends: number;
  declined: number;
  failed: string | undefined;
}

/** Kills so many times; afterwards what was put must be there, and nobody may have seen a wrong byte. */
export async function expectKillsAreHarmless(kills: number): Promise<void> {
  const [program] = await compileForNode(['test/support/programs/page-writer.ts']);
  const seed = askedSeed('random');
  const report = await killWriters({ program: program!, kills, seed });
  process.stdout.write(`kills: ${JSON.stringify(report)} (again with SEEKFS_SEED=${seed})\n`);
  expect(report.kills).toBeGreaterThanOrEqual(kills);
  expect(report.midAppend).toBeGreaterThanOrEqual(kills / 3);
  expect(report.acknowledged).toBeGreaterThan(report.kills);
  expect(report.declined).toBeLessThan(report.acknowledged / 10);
  expect(report.hits).toBeGreaterThanOrEqual(report.acknowledged * 0.99);
}

async function killWriters(options: { program: string; kills: number; seed: number }): Promise<KillReport> {
  const { program, kills, seed } = options;
  const random = seededRandom(seed);
  const report = { seed, kills: 0, midAppend: 0, declined: 0, acknowledged: 0, hits: 0 };
  // On a busy machine the moments are not ours: a third of what was asked for must hit an append, however long it takes.
  const isEnough = (): boolean =>
    report.kills >= kills && (report.midAppend >= kills / 3 || report.kills >= 10 * kills);
  while (!isEnough()) {
    const directory = await temporaryDirectory('seekfs-kills');
    const lives = new Set<Life>();
    const past: Life[] = [];
    try {
      const begin = (): void => {
        const name = `life-${lives.size + past.length}`;
        lives.add(start(program, [directory, name, PAGE_BYTES, CAPACITY_BYTES, random.unit() * 2 ** 32], name, lives));
      };
      for (let writer = 0; writer < WRITERS; writer += 1) begin();
      const end = report.kills + KILLS_A_DIRECTORY;
      while (report.kills < end && !isEnough()) {
        const victim = [...lives][Math.floor(random.unit() * lives.size)]!;
        await killAtRandom(victim, random);
        lives.delete(victim);
        past.push(victim);
        report.kills += 1;
        if (await hasTornTail(directory, victim.child.pid!)) report.midAppend += 1;
        report.hits += await countHits(directory, [victim]);
        report.acknowledged += victim.pages.length;
        begin();
      }
      for (const life of lives) await kill(life);
      const all = [...past, ...lives];
      report.hits += await countHits(directory, all);
      report.acknowledged += all.reduce((sum, life) => sum + life.pages.length, 0);
      report.declined += all.reduce((sum, life) => sum + life.declined, 0);
    } finally {
      for (const { child } of lives) child.kill('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    }
  }
  return report;
}

function start(program: string, args: readonly unknown[], name: string, others: Iterable<Life>): Life {
  const child = fork(program, [...args, ...[...others].map((life) => life.name)].map(String));
  const life: Life = { name, child, pages: [], appends: 0, declined: 0, failed: undefined };
  child.on('message', (message: WriterMessage) => {
    if (message.kind === 'append') life.appends += 1;
    else if (message.kind === 'declined') life.declined += 1;
    else if (message.kind === 'put') life.pages.push(message.pageId);
    else life.failed = message.reason;
  });
  return life;
}

/** Lets it begin some appends, and kills it a random while later. */
async function killAtRandom(life: Life, random: Random): Promise<void> {
  const turns = (): number => life.appends + life.declined;
  const last = turns() + 1 + Math.floor(random.unit() * 4);
  while (turns() < last && life.failed === undefined) await once(life.child, 'message');
  await delay(random.unit() * KILL_DELAY_MS_MAX);
  await kill(life);
}

async function kill(life: Life): Promise<void> {
  const { child } = life;
  // 'close' comes after the last message that was sent before the death.
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  const [, signal] = (await closed) as [number | null, string | null];
  if (life.failed !== undefined) throw new Error(`${life.name}: ${life.failed}`);
  if (signal !== 'SIGKILL') throw new Error(`${life.name} ended by itself`);
}

/**
 * Does a segment of that writer end in part of a record? Where one of the others has already given it its final name it
 * still does; where it has been compacted meanwhile nobody can tell, and the kill is not counted.
 */
async function hasTornTail(directory: string, pid: number): Promise<boolean> {
  const segments = join(directory, 'segments');
  for (const name of await readdir(segments)) {
    const file = await nodeDisk.open(join(segments, name), 'read').catch(() => undefined);
    if (!file) continue;
    try {
      const header = await readSegmentHeader(file);
      if (!header?.owner.includes(`"pid":${pid},`)) continue;
      const { sizeBytes } = await file.stat();
      if (await readFooter(file, { id: header.id, sizeBytes })) continue;
      const scan = await scanRecords(file, { id: header.id, sizeBytes, from: header.headerBytes, resync: false });
      if (scan.end < sizeBytes) return true;
    } finally {
      await file.close();
    }
  }
  return false;
}

/** Pages of those lives that a process which has just started finds; fails on a wrong byte. */
async function countHits(directory: string, lives: readonly Life[]): Promise<number> {
  const store = await openTestStore(directory, { capacityBytes: CAPACITY_BYTES });
  let hits = 0;
  for (const { name, pages } of lives) {
    for (const pageId of pages) {
      if (await store.get(testPage({ path: name, pageId, len: PAGE_BYTES }))) hits += 1;
    }
  }
  await store.store.close();
  return hits;
}
