// Maintenance on a disk that fails, at each of its operations: it breaks off with an error or does without, loses no
// page, keeps neither the lock nor a file nor memory, and succeeds when the disk is back.
import { expect, test } from 'vitest';
import { systemErrorCode } from '../../src/lib/base/errors.ts';
import { CrashDisk } from '../support/crash-disk.ts';
import { FaultDisk, type FaultCode } from '../support/fault-disk.ts';
import { openTestStore, testPage } from '../support/segment-store.ts';
import { TestProcesses } from '../support/test-processes.ts';

const CACHE = '/cache';
const CODES: readonly FaultCode[] = ['ENOSPC', 'EIO', 'EMFILE', 'EROFS', 'EACCES'];
const LIVE = Array.from({ length: 9 }, (_, pageId) => testPage({ pageId, len: 6000 + 100 * pageId }));
const DEAD = Array.from({ length: 9 }, (_, pageId) => testPage({ path: 'dead.bin', pageId, len: 9000 }));

const processes = new TestProcesses();

/** Nine short segments, each mostly dead, one of them left open by a process that died. */
async function prepared(): Promise<CrashDisk> {
  const disk = new CrashDisk();
  await disk.makeDirectory(CACHE);
  for (const [index, page] of LIVE.entries()) {
    const mine = processes.begin();
    const wrapped = new FaultDisk(disk);
    const store = await openTestStore(CACHE, { disk: wrapped, processes: mine });
    await store.put(DEAD[index]!);
    await store.put(page);
    if (index === 4) wrapped.fail({ code: 'EIO' });
    await store.store.close();
    processes.end(mine.identity);
  }
  return disk;
}

test.each(['once', 'for good'] as const)('a fault in maintenance, %s, costs no page', async (how) => {
  const start = await prepared();
  expect((await start.list(`${CACHE}/segments`)).some((name) => name.endsWith('.open'))).toBe(true);
  let skip = 0;
  let brokeOff = 0;
  for (; ; skip += 1) {
    const inner = start.clone();
    const disk = new FaultDisk(inner);
    const mine = processes.begin();
    const store = await openTestStore(CACHE, { disk, processes: mine });
    store.store.maintenance.knowDead((file) => file.path === 'dead.bin');
    disk.fail({ code: CODES[skip % CODES.length]!, skip, times: how === 'once' ? 1 : undefined });
    await store.store.maintenance.clean().catch((error: unknown) => {
      brokeOff += 1;
      if (systemErrorCode(error) === undefined && !String(error).includes('cannot lock')) throw error;
    });
    const fired = disk.fired;
    disk.heal();
    for (const page of LIVE) {
      if (!(await store.get(page))) throw new Error(`page ${page.page.pageId} was lost, fault at operation ${skip}`);
    }
    expect(await store.store.maintenance.clean(), `the lock was kept, fault at operation ${skip}`).toBeDefined();
    await store.store.close();
    processes.end(mine.identity);
    const after = await openTestStore(CACHE, { disk: inner, processes: processes.begin() });
    for (const page of LIVE) expect(await after.get(page), `fault at operation ${skip}`).toBeDefined();
    await after.store.close();
    expect(store.memory.inUseBytes).toBe(0);
    expect(inner.openFiles, `fault at operation ${skip}`).toBe(0);
    if (fired === 0) break;
  }
  expect(skip).toBeGreaterThan(60);
  expect(brokeOff).toBeGreaterThan(10);
});
