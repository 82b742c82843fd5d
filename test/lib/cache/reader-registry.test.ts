import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
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
