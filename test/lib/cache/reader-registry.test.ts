import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { ReaderRegistry, versionsInUse } from '../../../src/lib/cache/reader-registry.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { currentProcess } from '../../../src/lib/disk/process-identity.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let directory: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
});

const options = (): ConstructorParameters<typeof ReaderRegistry>[0] => ({
  disk: nodeDisk,
  directoryPath: directory,
  clock: systemClock,
});

test('versions are in use from the first registration to the end of the last', async () => {
  const [one, other] = [new ReaderRegistry(options()), new ReaderRegistry(options())];
  const ends = [one.register({ ns: 'dev', version: 3 }), one.register({ ns: 'dev', version: 3 })];
  other.register({ ns: 'dev', version: 4 });
  await Promise.all([one.settled(), other.settled()]);
  const inUse = await versionsInUse(options());
  expect(new Set(inUse.map(({ version }) => version))).toEqual(new Set([3, 4]));
  ends[0]!();
  await one.settled();
  expect(await versionsInUse(options())).toHaveLength(2);
  ends[1]!();
  ends[1]!();
  await one.settled();
  expect(await versionsInUse(options())).toEqual([{ ns: 'dev', version: 4 }]);
  await other.close();
  expect(readdirSync(join(directory, 'readers'))).toEqual([]);
});

test('what a dead process left is no use, and is removed; what makes no sense is passed over', async () => {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  mkdirSync(join(directory, 'readers'));
  const owner = { ...(await currentProcess()), pid: child.pid };
  const versions = [{ ns: 'dev', version: 1 }];
  writeFileSync(join(directory, 'readers', 'dead.json'), JSON.stringify({ format: 1, process: owner, versions }));
  writeFileSync(join(directory, 'readers', 'odd.json'), 'null');
  expect(await versionsInUse(options())).toEqual([]);
  expect(readdirSync(join(directory, 'readers'))).toEqual(['odd.json']);
});

test('a directory that cannot be written is no error', async () => {
  writeFileSync(join(directory, 'readers'), 'a file in the way');
  const registry = new ReaderRegistry(options());
  registry.register({ ns: 'dev', version: 1 });
  await registry.settled();
  await registry.close();
});

test('a reader of another container is in use until its file stood still for ten minutes', async () => {
  const folder = join(directory, 'readers');
  mkdirSync(folder);
  const owner = { ...(await currentProcess()), pidNamespace: 'pid:[1]' };
  for (const [version, ageMs] of [540_000, 660_000].entries()) {
    const path = join(folder, `${version}.json`);
    writeFileSync(path, JSON.stringify({ format: 1, process: owner, versions: [{ ns: 'dev', version }] }));
    utimesSync(path, new Date(), new Date(Date.now() - ageMs));
  }
  expect(await versionsInUse(options())).toEqual([{ ns: 'dev', version: 0 }]);
  expect(readdirSync(folder)).toEqual(['0.json']);
});

test('a reader writes its file again each minute, until its last use ends', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  try {
    const registry = new ReaderRegistry(options());
    const end = registry.register({ ns: 'dev', version: 3 });
    await registry.settled();
    const path = join(directory, 'readers', readdirSync(join(directory, 'readers'))[0]!);
    utimesSync(path, new Date(), new Date(0));
    vi.advanceTimersByTime(60_000);
    await registry.settled();
    expect(statSync(path).mtimeMs).toBeGreaterThan(0);
    end();
    await registry.settled();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
