import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Disk } from '../../../src/lib/disk/disk.ts';
import { LockFile } from '../../../src/lib/disk/lock-file.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { currentProcess } from '../../../src/lib/disk/process-identity.ts';
import { compileForNode } from '../../support/compiled.ts';
import { CrashDisk } from '../../support/crash-disk.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const disk = nodeDisk;
const elsewhere = { bootId: 'boot', pidNamespace: 'pid:[1]', pid: 1, startTime: '1' };

function heldElsewhere(heartbeat: number): string {
  return `H${String(heartbeat).padStart(16, '0')}${JSON.stringify(elsewhere)}`;
}

describe('LockFile', () => {
  test('is held by one at a time and free again after release', async () => {
    const directory = join(await temporaryDirectory(), 'lock');
    const lock = new LockFile({ disk, directory });
    const held = await lock.tryAcquire();
    expect(held?.generation).toBe(1);
    expect(await lock.tryAcquire()).toBeUndefined();
    expect(await new LockFile({ disk, directory }).tryAcquire()).toBeUndefined();
    expect((await lock.holder())?.pid).toBe(process.pid);
    await held!.release();
    await held!.release();
    expect(await lock.holder()).toBeUndefined();
    const next = await lock.tryAcquire();
    expect(next?.generation).toBe(2);
    expect(await next!.stillHeld()).toBe(true);
    expect(await held!.stillHeld()).toBe(false);
    await next!.release();
  });

  test('passes over a directory that has the name of a generation', async () => {
    const directory = await temporaryDirectory();
    await mkdir(join(directory, 'lock.7'));
    const lock = new LockFile({ disk, directory });
    expect(await lock.holder()).toBeUndefined();
    const held = await lock.tryAcquire();
    expect(held?.generation).toBe(8);
    expect(await new LockFile({ disk, directory }).tryAcquire()).toBeUndefined();
    await held!.release();
  });

  test('is tried again by a process whose record was swept away, by another whose clock was set forward', async () => {
    const directory = await temporaryDirectory();
    const clock = manualClock(Date.now());
    clock.set(2 * 3_600_000);
    const other = new LockFile({ disk, directory, clock });
    let swept = 0;
    const interrupted: Disk = {
      ...disk,
      link: async (from, to) => {
        if (swept === 0) await (await other.tryAcquire())!.release();
        swept += 1;
        return disk.link(from, to);
      },
    };
    const lock = new LockFile({ disk: interrupted, directory });
    const held = await lock.acquire({ waitMsMax: 10_000 });
    expect(held.generation).toBe(2);
    expect(swept).toBe(2);
    await held.release();
  });

  test('is not kept by a process whose disk failed while it took it', async () => {
    const faulty = new FaultDisk(new CrashDisk());
    const lock = new LockFile({ disk: faulty, directory: '/lock' });
    await (await lock.tryAcquire())!.release();
    for (let skip = 0; skip < 11; skip += 1) {
      faulty.fail({ code: 'EIO', skip, times: 1 });
      const held = await lock.tryAcquire().catch(() => undefined);
      faulty.heal();
      await held?.release();
      const again = await lock.tryAcquire();
      expect(again, `after operation ${skip} failed`).toBeDefined();
      await again!.release();
    }
    expect(faulty.fired).toBe(11);
  });

  test('says who holds it when the wait is over', async () => {
    const directory = await temporaryDirectory();
    const lock = new LockFile({ disk, directory });
    const held = await lock.acquire({ waitMsMax: 0 });
    await expect(lock.acquire({ waitMsMax: 20 })).rejects.toMatchObject({
      code: 'locked',
      details: { pid: process.pid },
    });
    await held.release();
  });

  test('stops waiting when the signal is aborted', async () => {
    const directory = await temporaryDirectory();
    const lock = new LockFile({ disk, directory });
    const held = await lock.acquire({ waitMsMax: 0 });
    const stop = new AbortController();
    const waiting = lock.acquire({ waitMsMax: 60_000, signal: stop.signal });
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'interrupted' });
    await held.release();
  });

  test('keeps a bounded number of files, the highest always among them', async () => {
    const directory = await temporaryDirectory();
    const lock = new LockFile({ disk, directory });
    for (let turn = 1; turn <= 60; turn += 1) await (await lock.acquire({ waitMsMax: 0 })).release();
    const names = await readdir(directory);
    expect(names).toContain('lock.60');
    expect(names.length).toBeLessThanOrEqual(18);
  });

  test('takes over from a process of this namespace that is gone, or whose number another process has', async () => {
    const directory = await temporaryDirectory();
    const self = await currentProcess();
    const identities = [
      { ...self, pid: 2 ** 30 },
      { ...self, startTime: '1' },
    ];
    for (const identity of identities) {
      const itsOwn = await new LockFile({ disk, directory, identity }).tryAcquire();
      const mine = await new LockFile({ disk, directory }).tryAcquire();
      expect([itsOwn, mine]).toEqual([expect.anything(), expect.anything()]);
      await mine!.release();
      await itsOwn!.release();
    }
  });

  test('counts a holder in another pid namespace as alive while its heartbeat moves', async () => {
    const directory = await temporaryDirectory();
    const clock = manualClock();
    const lock = new LockFile({ disk, directory, clock });
    for (let beat = 1; beat <= 5; beat += 1) {
      await writeFile(join(directory, 'lock.1'), heldElsewhere(beat));
      expect(await lock.tryAcquire()).toBeUndefined();
      clock.advance(9000);
    }
    clock.advance(2000);
    const held = await lock.tryAcquire();
    expect(held?.generation).toBe(2);
    await held!.release();
  });

  test('treats a record that cannot be read like a holder elsewhere: waited for, then taken over', async () => {
    const directory = await temporaryDirectory();
    const clock = manualClock();
    await writeFile(join(directory, 'lock.7'), 'H000');
    const lock = new LockFile({ disk, directory, clock });
    expect(await lock.tryAcquire()).toBeUndefined();
    clock.advance(11_000);
    const held = await lock.tryAcquire();
    expect(held?.generation).toBe(8);
    await held!.release();
  });

  test('a process that slept between listing and creating finds the higher generation and does not hold', async () => {
    const directory = await temporaryDirectory();
    const other = new LockFile({ disk, directory });
    await (await other.acquire({ waitMsMax: 0 })).release();
    let third: Awaited<ReturnType<LockFile['acquire']>> | undefined;
    const sleepy = {
      ...disk,
      link: async (from: string, to: string) => {
        if (!third) {
          await (await other.acquire({ waitMsMax: 0 })).release();
          third = await other.acquire({ waitMsMax: 0 });
          await disk.remove(to);
        }
        await disk.link(from, to);
      },
    };
    expect(await new LockFile({ disk: sleepy, directory }).tryAcquire()).toBeUndefined();
    expect(await readdir(directory)).toEqual(['lock.1', 'lock.3']);
    expect(third?.generation).toBe(3);
    await third!.release();
  });

  describe('between processes', () => {
    let program: string;
    beforeAll(async () => {
      [program] = (await compileForNode(['test/support/programs/lock-holder.ts'])) as [string];
    });

    test('loses no addition of six processes', async () => {
      const directory = await temporaryDirectory();
      const file = join(directory, 'number');
      await writeFile(file, '0');
      const run = promisify(execFile);
      const turns = Array.from({ length: 6 }, () =>
        run(process.execPath, [program, 'count', file, join(directory, 'lock'), '15']),
      );
      await Promise.all(turns);
      expect(await readFile(file, 'utf8')).toBe('90');
    });

    test('is taken over within a moment when its holder is killed, and not before', async () => {
      const directory = await temporaryDirectory();
      const child = fork(program, ['hold', directory]);
      await once(child, 'message');
      const lock = new LockFile({ disk, directory });
      expect(await lock.tryAcquire()).toBeUndefined();
      expect((await lock.holder())?.pid).toBe(child.pid);
      child.kill('SIGKILL');
      await once(child, 'exit');
      const held = await lock.acquire({ waitMsMax: 1000 });
      expect(held.generation).toBe(2);
      await held.release();
    });
  });
});
