// A process that maintains the cache is stopped at any of its operations, taken for dead, and wakes up when another one
// has done the work: it must do no harm.
import { expect, test } from 'vitest';
import { CrashDisk } from '../support/crash-disk.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { openTestStore, testPage } from '../support/segment-store.ts';
import { TestProcesses } from '../support/test-processes.ts';

const CACHE = '/cache';
const LIVE = Array.from({ length: 9 }, (_, pageId) => testPage({ pageId, len: 6000 + 100 * pageId }));
const DEAD = Array.from({ length: 9 }, (_, pageId) => testPage({ path: 'dead.bin', pageId, len: 9000 }));
const LATER = testPage({ path: 'later.bin', len: 7000 });

test('a maintainer that sleeps through a takeover loses no page and serves no wrong byte', async () => {
  const start = new CrashDisk();
  await start.makeDirectory(CACHE);
  const processes = new TestProcesses();
  for (const [index, page] of LIVE.entries()) {
    const store = await openTestStore(CACHE, { disk: start, processes: processes.begin() });
    await store.put(DEAD[index]!);
    await store.put(page);
    await store.store.close();
  }
  processes.endAll();

  let slept = 0;
  for (let operation = 0; ; operation += 1) {
    const inner = start.clone();
    const disk = new FaultDisk(inner);
    const sleeper = processes.begin();
    const first = await openTestStore(CACHE, { disk, processes: sleeper });
    first.store.maintenance.knowDead((file) => file.path === 'dead.bin');
    const { reached, resume } = disk.pause(operation);
    const cleaning = first.store.maintenance.clean().catch(() => undefined);
    const asleep = await Promise.race([reached.then(() => true), cleaning.then(() => false)]);
    processes.end(sleeper.identity);

    const second = await openTestStore(CACHE, { disk: inner, processes: processes.begin() });
    second.store.maintenance.knowDead((file) => file.path === 'dead.bin');
    expect(await second.store.maintenance.clean(), `operation ${operation}`).toBeDefined();
    await second.put(LATER);
    resume();
    await cleaning;
    await first.store.close();

    for (const page of [...LIVE, LATER]) expect(await second.get(page), `operation ${operation}`).toBeDefined();
    await second.store.close();
    const third = await openTestStore(CACHE, { disk: inner, processes: processes.begin() });
    for (const page of [...LIVE, LATER]) {
      if (!(await third.get(page))) throw new Error(`${page.page.path}/${page.page.pageId}, asleep at ${operation}`);
    }
    await third.store.close();
    expect(inner.openFiles).toBe(0);
    if (!asleep) break;
    slept += 1;
  }
  expect(slept).toBeGreaterThan(60);
});
