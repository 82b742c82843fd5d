// The doctor's findings over stores and disks that are well, and ones that are not.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { SeekfsError, type ErrorCode } from '../../../src/lib/base/errors.ts';
import { systemRandom } from '../../../src/lib/base/random.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { examine, type DoctorDeps, type Finding } from '../../../src/lib/maintain/doctor.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import type { PutRequest } from '../../../src/lib/objectstore/object-store.ts';
import { testConfig } from '../../support/config.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

class FailingStore extends MemoryObjectStore {
  readonly #code: ErrorCode;

  constructor(code: ErrorCode) {
    super();
    this.#code = code;
  }

  override async *list(): AsyncGenerator<never> {
    throw new SeekfsError(this.#code, 'no');
  }
}

async function deps(change: Partial<DoctorDeps> = {}): Promise<DoctorDeps & { cachePath: string }> {
  const cachePath = join(await temporaryDirectory(), 'cache');
  const config = await testConfig(undefined, { env: { SEEKFS_CACHE: cachePath }, oneShot: true });
  const store = new MemoryObjectStore();
  const common = { config, disk: nodeDisk, clock: systemClock, random: systemRandom, openFilesMax: 4096 };
  return { ...common, store, cachePath, ...change };
}

const statusOf = (findings: Finding[]) => Object.fromEntries(findings.map(({ check, status }) => [check, status]));

test('all is well, and nothing is left behind', async () => {
  const given = await deps();
  const findings = await examine(given);
  expect(findings.filter(({ status }) => status === 'failed')).toEqual([]);
  expect(statusOf(findings)).toMatchObject({
    store: 'ok',
    'conditional writes': 'ok',
    clock: 'ok',
    'cache directory': 'ok',
  });
  expect(await readdir(given.cachePath)).toEqual([]);
  for await (const page of given.store.list({ prefix: '' })) expect(page).toEqual([]);
});

test.each([
  ['access_denied', 'credentials'],
  ['bucket_not_found', 'store'],
  ['store_unavailable', 'store'],
] as const)(
  'a store that fails with %s is a finding with advice, and the cache is examined all the same',
  async (code, check) => {
    const store = new FailingStore(code);
    const findings = await examine(await deps({ store }));
    expect(findings[0]).toMatchObject({ check, status: 'failed', found: 'no', advice: expect.any(String) });
    expect(statusOf(findings)).toMatchObject({ 'cache directory': 'ok' });
  },
);

test('a store that ignores conditions is a failure with advice', async () => {
  class CarelessStore extends MemoryObjectStore {
    override put(request: PutRequest): Promise<{ etag: string }> {
      return super.put({ ...request, condition: { kind: 'none' } });
    }
  }
  const findings = await examine(await deps({ store: new CarelessStore() }));
  expect(findings.find(({ check }) => check === 'conditional writes')).toEqual({
    check: 'conditional writes',
    status: 'failed',
    found: 'If-None-Match is ignored, If-Match is ignored',
    advice: expect.stringContaining('--unsafe-publish') as string,
  });
});

test.each([
  [0, 'ok', 'agrees with the store’s'],
  [-30_999, 'ok', 'agrees with the store’s'],
  [30_999, 'ok', 'agrees with the store’s'],
  [-31_000, 'warning', 'the store’s is 30 s behind'],
  [31_000, 'warning', 'the store’s is 30 s ahead'],
  [-841_000, 'warning', 'the store’s is 840 s behind'],
  [-841_001, 'failed', 'the store’s is 840 s behind'],
  [841_001, 'failed', 'the store’s is 840 s ahead'],
])(
  'a store whose clock differs by %i ms, of which its stamps may lack a second, is %s',
  async (differenceMs, status, found) => {
    const clock = manualClock();
    const store = new MemoryObjectStore({ clock: { ...clock, nowMs: () => clock.nowMs() + differenceMs } });
    const findings = await examine(await deps({ clock, store }));
    expect(findings.find(({ check }) => check === 'clock')).toMatchObject({ status, found });
  },
);

test.each(['EROFS', 'ENOSPC'] as const)('a cache directory that gives %s is a failed check', async (code) => {
  const disk = new FaultDisk(nodeDisk);
  disk.fail({ code, operations: ['create', 'write'] });
  const findings = await examine(await deps({ disk }));
  expect(disk.fired).toBeGreaterThan(0);
  expect(findings.find(({ check }) => check === 'cache directory')).toMatchObject({
    status: 'failed',
    found: expect.stringContaining(code),
  });
});

test('few open files are a warning', async () => {
  expect(statusOf(await examine(await deps({ openFilesMax: 256 })))).toMatchObject({ 'open files': 'warning' });
});

test('an interrupted examination ends with that', async () => {
  await expect(examine(await deps({ signal: AbortSignal.abort() }))).rejects.toMatchObject({ code: 'interrupted' });
});
