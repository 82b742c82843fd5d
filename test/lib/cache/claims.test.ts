import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ProcessIdentity } from '../../../src/lib/disk/process-identity.ts';
import type { Disk } from '../../../src/lib/disk/disk.ts';
import { Claims, type ClaimsOptions } from '../../../src/lib/cache/claims.ts';
import { CrashDisk, diskError } from '../../support/crash-disk.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { RecordingLogger } from '../../support/segment-store.ts';

// Heartbeats come by real timers, and the clock of the waiters is a manual one: on a slow machine they would meet.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
afterEach(() => void vi.useRealTimers());

function host(options: { disk?: Disk } = {}) {
  const disk = options.disk ?? new CrashDisk();
  // The disk’s own clock is the real one.
  const clock = manualClock(Date.now());
  const dead = new Set<number>();
  const log = new RecordingLogger();
  let pid = 0;
  /** A process of the host; in a container of its own where a namespace is given. */
  const open = (more: Partial<ClaimsOptions> & { pidNamespace?: string } = {}): { claims: Claims; pid: number } => {
    pid += 1;
    const { pidNamespace = 'pid:[1]', ...rest } = more;
    const identity: ProcessIdentity = { bootId: 'boot', pidNamespace, pid, startTime: String(pid) };
    const isRunning = ({ pid: asked }: ProcessIdentity): Promise<boolean> => Promise.resolve(!dead.has(asked));
    const claims = new Claims({ disk, directoryPath: '/claims', log, clock, identity, isRunning, ...rest });
    return { claims, pid };
  };
  return { disk, clock, dead, log, open };
}

const never = new AbortController().signal;

/** Moves the clock on whenever somebody sleeps, until the work is done. */
async function passTime<T>(clock: ReturnType<typeof manualClock>, work: Promise<T>): Promise<T> {
  const state = { done: false };
  const settled = work.finally(() => (state.done = true));
  settled.catch(() => undefined);
  while (!state.done) {
    await new Promise((resolve) => setImmediate(resolve));
    if (clock.sleeping > 0) clock.advance(25);
  }
  return settled;
}

describe('a claim', () => {
  test('that the disk has no room for leaves no file open and none behind', async () => {
    const inner = new CrashDisk();
    const disk = new FaultDisk(inner);
    const { open } = host({ disk });
    disk.fail({ code: 'ENOSPC', operations: ['write'] });
    expect((await open().claims.take('page')).kind).toBe('taken');
    expect(disk.fired).toBe(1);
    expect(await inner.list('/claims/owners')).toEqual([]);
    expect(disk.count('close')).toBe(disk.count('create'));
  });

  test('is one process’s until it is released, and leaves nothing behind', async () => {
    const { open, disk } = host();
    const [a, b] = [open(), open()];
    const mine = await a.claims.take('page');
    expect(mine.kind).toBe('taken');
    expect(await b.claims.take('page')).toEqual({ kind: 'foreign', generation: 0 });
    expect((await b.claims.take('another')).kind).toBe('taken');
    expect([await b.claims.isTaken('page'), await b.claims.isTaken('neither')]).toEqual([true, false]);
    if (mine.kind === 'taken') mine.release();
    await a.claims.close();
    const now = await b.claims.take('page');
    expect(now.kind).toBe('taken');
    expect(await disk.list('/claims/owners')).toHaveLength(1);
  });

  test('goes together with others a moment after its release, and at once where the process closes', async () => {
    const inner = new CrashDisk();
    const disk = new FaultDisk(inner);
    const { open, clock } = host({ disk });
    const { claims } = open();
    const take = async (name: string): Promise<() => void> => {
      const answer = await claims.take(name);
      if (answer.kind !== 'taken') throw new Error(`${name} is foreign`);
      return answer.release;
    };
    const releases = await Promise.all(['one', 'two', 'last'].map(take));
    for (const release of releases.slice(0, 2)) release();
    expect(clock.sleeping).toBe(1);
    expect(disk.count('remove')).toBe(0);
    clock.advance(5);
    await Promise.all(['one', 'two'].map((name) => passTime(clock, claims.wait(name, 0, never))));
    expect([await claims.isTaken('one'), await claims.isTaken('two'), await claims.isTaken('last')]).toEqual([
      false,
      false,
      true,
    ]);
    releases[2]!();
    await claims.close();
    expect(await inner.list('/claims')).toEqual(['owners']);
  });

  test('of a dead process is given up at once, and one process gets the next generation', async () => {
    const { open, dead, clock, disk } = host();
    const [a, b, c] = [open(), open(), open()];
    await a.claims.take('page');
    dead.add(a.pid);
    const startMs = clock.monotonicMs();
    expect(await passTime(clock, b.claims.wait('page', 0, never))).toBe('given-up');
    expect(clock.monotonicMs() - startMs).toBeLessThan(300);
    const next = await b.claims.take('page', 1);
    expect(next.kind).toBe('taken');
    expect(await c.claims.take('page', 1)).toEqual({ kind: 'foreign', generation: 1 });
    if (next.kind === 'taken') next.release();
    expect(await passTime(clock, c.claims.wait('page', 1, never))).toBe('released');
    await b.claims.close();
    expect(await disk.list('/claims')).toEqual(['owners']);
  });

  test('of another container is given up when its heartbeat stands still', async () => {
    const { open, clock } = host();
    const [a, b] = [open({ pidNamespace: 'pid:[2]' }), open()];
    await a.claims.take('page');
    const startMs = clock.monotonicMs();
    expect(await passTime(clock, b.claims.wait('page', 0, never))).toBe('given-up');
    expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(3000);
    expect(clock.monotonicMs() - startMs).toBeLessThan(3500);
  });

  test('is waited for no longer than a bound, however alive its owner is', async () => {
    const { open, clock } = host();
    const [a, b] = [open(), open({ waitMsMax: 1000 })];
    await a.claims.take('page');
    expect(await passTime(clock, b.claims.wait('page', 0, never))).toBe('given-up');
    expect(clock.monotonicMs()).toBeLessThan(1200);
  });

  test('is not waited for once the reader has gone', async () => {
    const { open } = host();
    const [a, b] = [open(), open()];
    await a.claims.take('page');
    const controller = new AbortController();
    const waiting = b.claims.wait('page', 0, controller.signal);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'interrupted' });
  });
});

describe('where claims do not work', () => {
  test.each(['makeDirectory', 'link'] as const)(
    'everything is granted, and said once (%s fails)',
    async (operation) => {
      const broken: Disk = new Proxy(new CrashDisk(), {
        get: (disk, name) => {
          if (name === operation) return () => Promise.reject(diskError('EPERM', operation));
          const member: unknown = Reflect.get(disk, name);
          return typeof member === 'function' ? member.bind(disk) : member;
        },
      });
      const { open, log } = host({ disk: broken });
      const { claims } = open();
      for (const name of ['a', 'a', 'b']) expect((await claims.take(name)).kind).toBe('taken');
      expect(await claims.isTaken('a')).toBe(false);
      expect(log.lines).toHaveLength(1);
      expect(log.lines[0]).toMatch(/EPERM/);
      await claims.close();
    },
  );
});

test('a process knows that it is alone only while nobody came or went', async () => {
  const { open, clock } = host();
  const a = open();
  await a.claims.take('page');
  clock.advance(3_600_000);
  expect([await a.claims.alone(), await a.claims.alone(), await a.claims.alone()]).toEqual([false, true, true]);
  const b = open();
  await b.claims.take('another');
  clock.advance(3_600_000);
  expect([await a.claims.alone(), await a.claims.alone()]).toEqual([false, false]);
});

test('a process knows that it is alone also where the clock was set back', async () => {
  const { open, clock } = host();
  const a = open();
  await a.claims.take('page');
  clock.set(-3_600_000);
  expect([await a.claims.alone(), await a.claims.alone()]).toEqual([false, true]);
  await open().claims.take('another');
  expect(await a.claims.alone()).toBe(false);
});

test('what an owner of another container left is removed a day later, and one that lives after all claims on', async () => {
  const { open, clock, disk } = host();
  const a = open({ pidNamespace: 'pid:[2]' });
  const before = await a.claims.take('page');
  if (before.kind === 'taken') before.release();
  clock.advance(23 * 3_600_000);
  await open().claims.take('one');
  expect(await disk.list('/claims/owners')).toHaveLength(2);
  clock.advance(2 * 3_600_000);
  const c = open();
  await c.claims.take('two');
  // The second is old as well, but it can be asked about.
  expect(await disk.list('/claims/owners')).toHaveLength(2);
  expect((await a.claims.take('page')).kind).toBe('taken');
  expect(await c.claims.isTaken('page')).toBe(true);
});
