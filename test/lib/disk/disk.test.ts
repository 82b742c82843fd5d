import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { CrashDisk } from '../../support/crash-disk.ts';
import { testDiskConformance } from '../../support/disk-conformance.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let directories = 0;
let root: Promise<string> | undefined;

testDiskConformance('nodeDisk', async () => {
  root ??= temporaryDirectory();
  directories += 1;
  const directory = join(await root, String(directories));
  await mkdir(directory);
  return { disk: nodeDisk, directory };
});

testDiskConformance('CrashDisk', async () => {
  const disk = new CrashDisk();
  await disk.makeDirectory('/cache');
  return { disk, directory: '/cache' };
});

testDiskConformance('FaultDisk without faults', async () => {
  const disk = new FaultDisk(new CrashDisk());
  await disk.makeDirectory('/cache');
  return { disk, directory: '/cache' };
});
