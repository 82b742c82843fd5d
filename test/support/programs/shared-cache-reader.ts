// A process of its own for test/lib/read/claiming.test.ts: a read path on a directory store and a cache that it shares
// with other processes. Says `ready`, reads the extent it is sent, says `getting` before its GET goes on, and answers
// with what it got; `hold` in the extent: its GET never goes on.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { silentLogger } from '../../../src/lib/base/log.ts';
import { MemoryGovernor } from '../../../src/lib/base/memory.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { systemRandom } from '../../../src/lib/base/random.ts';
import { MIB } from '../../../src/lib/base/units.ts';
import { Claims } from '../../../src/lib/cache/claims.ts';
import { createPageCache } from '../../../src/lib/cache/layered-cache.ts';
import { openSegmentStore } from '../../../src/lib/cache/open-segment-store.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { openVersion } from '../../../src/lib/manifest/pinned.ts';
import { DirectoryObjectStore } from '../../../src/lib/objectstore/directory.ts';
import { createReader } from '../../../src/lib/read/open-reader.ts';
import type { Extent } from '../../../src/lib/read/reader.ts';
import { WatchedStore } from '../watched-store.ts';

export interface ReadOrder {
  readonly extent: Extent;
  readonly hold: boolean;
  /** How long its GET takes before the first byte. */
  readonly latencyMs: number;
}

export type ReaderNews =
  | { readonly kind: 'ready' }
  | { readonly kind: 'getting' }
  | { readonly kind: 'read'; readonly sha256: string; readonly gets: number; readonly fetched: number };

const [rootPath, cachePath, silenceMsMax] = process.argv.slice(2);

function say(news: ReaderNews): void {
  process.send!(news);
}

const metrics = new Metrics();
const memory = new MemoryGovernor({ limitBytes: 64 * MIB });
const store = new WatchedStore(new DirectoryObjectStore({ rootPath: rootPath! }));
const log = silentLogger;
const common = { disk: nodeDisk, log, memory, metrics, clock: systemClock };
const l2 = await openSegmentStore({
  ...common,
  directoryPath: cachePath!,
  capacityBytes: undefined,
  freeReserveBytes: 0,
  random: systemRandom,
});
const cache = createPageCache({ l2, metrics });
const claims = new Claims({
  disk: nodeDisk,
  directoryPath: join(cachePath!, 'claims'),
  log,
  silenceMsMax: Number(silenceMsMax),
});
const limits = { rangeCoalesceMaxBytes: 8 * MIB, requireChecksums: false };
const reader = createReader({ ...common, store: () => Promise.resolve(store), cache, claims, limits });
const version = await openVersion({ store, cachePath: undefined, log }, 'dev', { version: 1 });

process.on('message', (order: ReadOrder) => {
  void read(order);
});

async function read({ extent, hold, latencyMs }: ReadOrder): Promise<void> {
  store.beforeGet = async () => {
    say({ kind: 'getting' });
    await (hold ? new Promise(() => undefined) : systemClock.sleep(latencyMs));
  };
  const hash = createHash('sha256');
  for await (const slab of reader.readv(version, [extent])) {
    hash.update(slab.bytes);
    slab.release();
  }
  await reader.close();
  await cache.drain();
  await claims.close();
  await cache.close();
  const fetched = metrics.get('seekfs_pages_fetched_total');
  process.send!({ kind: 'read', sha256: hash.digest('hex'), gets: store.gets.length, fetched }, () => process.exit(0));
}

say({ kind: 'ready' });
