import { constants, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { pageAlignedMemory } from '../../../src/lib/base/page-aligned.ts';
import { KIB } from '../../../src/lib/base/units.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const memory = pageAlignedMemory(64 * KIB).fill('seekfs');

/** Open flags of this process's descriptors of the file. */
function flagsOf(path: string): number[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`) !== path) return [];
      return [Number.parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]!, 8)];
    } catch {
      return [];
    }
  });
}

async function takesDirect(path: string): Promise<boolean> {
  const handle = await fs.open(path, constants.O_RDWR | constants.O_CREAT | constants.O_DIRECT).catch(() => undefined);
  await handle?.close();
  return handle !== undefined;
}

/** Runs `write` with the next vectored write of any handle of this process failing so. */
async function failingOnce(code: string, path: string, write: (failed: Error) => Promise<void>): Promise<void> {
  const probe = await fs.open(path, 'r');
  const failed = Object.assign(new Error(`${code}: writev`), { code });
  const writev = vi.spyOn(Object.getPrototypeOf(probe) as typeof probe, 'writev').mockRejectedValueOnce(failed);
  try {
    await write(failed);
  } finally {
    writev.mockRestore();
    await probe.close();
  }
}

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('a file gets a second descriptor for what goes past the page cache, with the first such write', async () => {
  const path = join(await temporaryDirectory(), 'a');
  const isTaken = await takesDirect(`${path}-probe`);
  const file = await nodeDisk.open(path, 'create');
  await file.write([memory], 0);
  await file.write([memory.subarray(0, 100)], 64 * KIB, { direct: true });
  expect(flagsOf(path)).toHaveLength(1);
  await file.write([memory], 64 * KIB, { direct: true });
  await file.write([memory], 128 * KIB, { direct: true });
  const direct = flagsOf(path).filter((flags) => flags & constants.O_DIRECT);
  expect(direct).toHaveLength(isTaken ? 1 : 0);
  await file.close();
  expect(flagsOf(path)).toEqual([]);
});

onLinux('another error of such a write is the error of the write', async () => {
  const path = join(await temporaryDirectory(), 'a');
  const file = await nodeDisk.open(path, 'create');
  await failingOnce('EIO', path, async (failed) => {
    await expect(file.write([memory], 0, { direct: true })).rejects.toBe(failed);
  });
  await file.close();
});

onLinux('what the file system does not take so is written the other way, and then always', async () => {
  const path = join(await temporaryDirectory(), 'a');
  const file = await nodeDisk.open(path, 'create');
  await failingOnce('EINVAL', path, async () => {
    await file.write([memory], 0, { direct: true });
    await file.write([memory], 64 * KIB, { direct: true });
  });
  expect(flagsOf(path).filter((flags) => flags & constants.O_DIRECT)).toEqual([]);
  const back = Buffer.alloc(128 * KIB);
  expect(await file.read([back], 0)).toBe(back.length);
  expect(back.equals(Buffer.concat([memory, memory]))).toBe(true);
  await file.close();
});
