// Is the process fit to serve? Over stores and cache directories that are well, and ones that are not.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import { systemRandom } from '../../../src/lib/base/random.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { checkReadiness, type ReadinessDeps } from '../../../src/lib/maintain/readiness.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import { FaultDisk, type FaultCode } from '../../support/fault-disk.ts';
import { ScriptedStore } from '../../support/scripted-store.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

async function deps(
  change: Partial<Omit<ReadinessDeps, 'cachePath'>> = {},
): Promise<ReadinessDeps & { readonly cachePath: string }> {
  const cachePath = join(await temporaryDirectory(), 'cache');
  return { store: new MemoryObjectStore(), cachePath, disk: nodeDisk, random: systemRandom, ...change };
}

test('a store that answers, and a cache directory that can be written, are ready; nothing is left behind', async () => {
  const given = await deps();
  expect(await checkReadiness(given)).toEqual([
    { name: 'store', ok: true, reason: 'memory://store answers' },
    { name: 'cache', ok: true, reason: `${given.cachePath} can be written` },
  ]);
  expect(await readdir(given.cachePath)).toEqual([]);
});

test('no cache on disk is as it should be', async () => {
  const findings = await checkReadiness({ ...(await deps()), cachePath: undefined });
  expect(findings[1]).toEqual({ name: 'cache', ok: true, reason: 'nothing is kept on disk' });
});

test.each(['store_unavailable', 'store_throttled', 'access_denied', 'bucket_not_found'] as const)(
  'a store that answers %s is not ready, and says why',
  async (code) => {
    const error = new SeekfsError(code, 'the store said no');
    const store = new ScriptedStore(new MemoryObjectStore(), [{ error }]);
    const [found] = await checkReadiness(await deps({ store }));
    expect(found).toEqual({ name: 'store', ok: false, reason: 'the store said no' });
  },
);

test.each(['ENOSPC', 'EROFS', 'EACCES', 'EIO'] satisfies FaultCode[])(
  'a cache directory that gives %s is not ready, and nothing of the look is left behind',
  async (code) => {
    const disk = new FaultDisk(nodeDisk);
    const given = await deps({ disk });
    // A full disk takes a name, and no byte.
    disk.fail({ code, operations: ['write'] });
    const [, found] = await checkReadiness(given);
    expect(found).toMatchObject({ name: 'cache', ok: false, reason: expect.stringContaining(code) });
    expect(disk.fired).toBeGreaterThan(0);
    expect(await readdir(given.cachePath)).toEqual([]);
  },
);

test('a cache path that is a file is not ready', async () => {
  const given = await deps();
  await mkdir(join(given.cachePath, '..'), { recursive: true });
  await writeFile(given.cachePath, '');
  const [, found] = await checkReadiness(given);
  expect(found).toMatchObject({ ok: false, reason: expect.stringContaining(given.cachePath) });
});
