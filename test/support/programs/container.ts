// A process of its own, in a pid namespace of its own, for test/segmentstore/containers.test.ts: does with the shared cache
// directory what its parent asks for, one order at a time, and answers each. Arguments: the directory.
import { join } from 'node:path';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { silentLogger } from '../../../src/lib/base/log.ts';
import { systemRandom } from '../../../src/lib/base/random.ts';
import { Claims } from '../../../src/lib/cache/claims.ts';
import { ReaderRegistry, versionsInUse } from '../../../src/lib/cache/reader-registry.ts';
import { LockFile } from '../../../src/lib/disk/lock-file.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { currentProcess } from '../../../src/lib/disk/process-identity.ts';
import { openTestStore, testPage } from '../segment-store.ts';

const directoryPath = process.argv[2]!;
const lock = new LockFile({ disk: nodeDisk, directory: join(directoryPath, 'lock') });
const claims = new Claims({
  disk: nodeDisk,
  directoryPath: join(directoryPath, 'claims'),
  log: silentLogger,
  silenceMsMax: 6000,
});
const registry = new ReaderRegistry({ disk: nodeDisk, directoryPath, clock: systemClock });
const pages = await openTestStore(directoryPath, { random: systemRandom });

const orders = {
  whoAmI: () => currentProcess(),
  /** Takes the lock within the time; the generation, or null while another has it. */
  lock: async (waitMsMax: number) => (await lock.acquire({ waitMsMax }).catch(() => null))?.generation ?? null,
  claim: async (name: string, from: number) => (await claims.take(name, from)).kind,
  waitForClaim: (name: string, waitMs: number) =>
    claims.wait(name, 0, AbortSignal.timeout(waitMs)).catch(() => 'still waiting'),
  register: async (version: number) => {
    registry.register({ ns: 'dev', version });
    await registry.settled();
  },
  versionsInUse: () => versionsInUse({ disk: nodeDisk, directoryPath, clock: systemClock }),
  put: (path: string) => pages.put(testPage({ path })),
  get: async (path: string) => {
    await pages.store.refresh();
    return (await pages.get(testPage({ path }))) !== undefined;
  },
  /** Whether a run of maintenance got the lock within the time. */
  clean: async (waitMsMax: number) => (await pages.store.maintenance.clean({ waitMsMax })) !== undefined,
};

export type Orders = typeof orders;

process.on('message', ([name, ...operands]: [keyof Orders, ...unknown[]]) => {
  const order = orders[name] as (...all: unknown[]) => Promise<unknown>;
  order(...operands).then(
    (answer) => process.send!({ answer: answer ?? null }),
    (error: unknown) => process.send!({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send!({ answer: 'ready' });
