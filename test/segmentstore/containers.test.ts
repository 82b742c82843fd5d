// Containers that share one cache directory: each has process numbers of its own, and they collide. What one process
// believes of another must come from what that does, never from its number.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { compileForNode } from '../support/compiled.ts';
import type { Orders } from '../support/programs/container.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

function missing(): string | undefined {
  try {
    execFileSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { stdio: 'pipe' });
    execFileSync('nsenter', ['--version'], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return (error as Error).message.trim().replaceAll('\n', ': ');
  }
}

const reason = missing();
if (reason !== undefined) {
  if (process.env['SEEKFS_PEERS_REQUIRED'] === '1') throw new Error(`no pid namespaces to test in: ${reason}`);
  process.stderr.write(`skipped, no pid namespaces to test in: ${reason}\n`);
}

interface Container {
  /** `unshare`, which kills what runs in the container when it is killed. */
  readonly child: ChildProcess;
  ask<Name extends keyof Orders>(name: Name, ...operands: Parameters<Orders[Name]>): ReturnType<Orders[Name]>;
  kill(): Promise<void>;
}

let program: string;
const running = new Set<ChildProcess>();

beforeAll(async () => {
  [program] = (await compileForNode(['test/support/programs/container.ts'])) as [string];
});

afterEach(async () => {
  for (const child of running) await kill(child);
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

async function start(command: string, flags: readonly string[], directory: string): Promise<Container> {
  const child = spawn(command, [...flags, process.execPath, program, directory], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  running.add(child);
  child.once('close', () => running.delete(child));
  const answerOf = async (): Promise<unknown> => {
    const [message] = (await once(child, 'message')) as [{ answer?: unknown; error?: string }];
    if (message.error !== undefined) throw new Error(message.error);
    return message.answer;
  };
  await answerOf();
  const ask = (name: string, ...operands: unknown[]): Promise<unknown> => {
    const answered = answerOf();
    child.send([name, ...operands]);
    return answered;
  };
  return { child, ask: ask as Container['ask'], kill: () => kill(child) };
}

const CONTAINER = ['--pid', '--fork', '--mount-proc', '--kill-child=KILL'];

describe.skipIf(reason !== undefined)('two containers with one cache directory', () => {
  test('have the same process numbers, and neither takes the other for dead while it lives, or for alive for ever', async () => {
    const directory = await temporaryDirectory();
    const [one, other] = await Promise.all([
      start('unshare', CONTAINER, directory),
      start('unshare', CONTAINER, directory),
    ]);
    const [first, second] = [await one.ask('whoAmI'), await other.ask('whoAmI')];
    expect([first.pid, second.pid]).toEqual([1, 1]);
    expect(first.pidNamespace).not.toBe(second.pidNamespace);

    await one.ask('put', 'a.bin');
    expect(await other.ask('get', 'a.bin')).toBe(true);
    await other.ask('register', 7);
    await one.ask('register', 8);
    expect(await one.ask('claim', 'page', 0)).toBe('taken');
    const generation = await one.ask('lock', 0);
    expect(generation).not.toBeNull();

    // Longer than a claim, and then a lock, may be silent.
    const [claim, inUse] = await Promise.all([other.ask('waitForClaim', 'page', 8000), one.ask('versionsInUse')]);
    expect(claim).toBe('still waiting');
    expect(new Set(inUse.map(({ version }) => version))).toEqual(new Set([7, 8]));
    expect(await other.ask('clean', 12_000)).toBe(false);
    // Its segment was not ended under it: what it appends is seen.
    expect(readdirSync(`${directory}/segments`).filter((name) => name.includes('open'))).toHaveLength(1);
    await one.ask('put', 'b.bin');
    expect(await other.ask('get', 'b.bin')).toBe(true);

    await one.kill();
    expect(await other.ask('waitForClaim', 'page', 30_000)).toBe('given-up');
    expect(await other.ask('claim', 'page', 1)).toBe('taken');
    expect(await other.ask('clean', 15_000)).toBe(true);
    expect([await other.ask('get', 'a.bin'), await other.ask('get', 'b.bin')]).toEqual([true, true]);
    const next = await other.ask('lock', 0);
    expect(next).toBeGreaterThan(generation!);
  }, 180_000);

  test('and a process that sees another namespace’s /proc takes nobody for dead by a number', async () => {
    const directory = await temporaryDirectory();
    const one = await start('unshare', CONTAINER, directory);
    const hostPid = readFileSync(`/proc/${one.child.pid}/task/${one.child.pid}/children`, 'latin1').trim();
    // In the pid namespace of the first, with the /proc of the host.
    const flags = ['--target', hostPid, '--pid', '--'];
    const other = await start('nsenter', flags, directory);
    const [first, second] = [await one.ask('whoAmI'), await other.ask('whoAmI')];
    expect(second.pid).toBeLessThan(50);
    expect(first.pidNamespace).toBe(readlinkSync(`/proc/${hostPid}/ns/pid`));
    expect(second.pidNamespace).not.toBe(first.pidNamespace);
    await one.ask('put', 'a.bin');
    expect(await one.ask('claim', 'page', 0)).toBe('taken');
    expect(await one.ask('lock', 0)).not.toBeNull();
    expect(await other.ask('waitForClaim', 'page', 1000)).toBe('still waiting');
    expect(await other.ask('lock', 1000)).toBeNull();
    expect(await other.ask('get', 'a.bin')).toBe(true);
    expect(await other.ask('claim', 'another page', 0)).toBe('taken');
    expect(await one.ask('waitForClaim', 'another page', 1000)).toBe('still waiting');
  });
});
