// A process that writes pages into a shared segmentstore and reads those of the others, until it is killed. Tells its
// parent of every append before it begins and of every put that returned; a wrong byte or an error ends it.
// Arguments: directory, name of this life, page bytes, capacity bytes, seed, names of the others' lives.
import { seededRandom, systemRandom } from '../../../src/lib/base/random.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { piecewiseDisk } from '../piecewise-disk.ts';
import { openTestStore, testPage } from '../segment-store.ts';

export type WriterMessage =
  | { readonly kind: 'append' }
  | { readonly kind: 'put'; readonly pageId: number }
  /** The cache was full: it may say no. */
  | { readonly kind: 'declined' }
  | { readonly kind: 'failed'; readonly reason: string };

/** How far a reader looks for pages of the others. */
const PAGES_LOOKED_FOR = 12;
const MAINTENANCE_SHARE = 0.05;

const [directory, name, pageBytes, capacityBytes, seed, ...others] = process.argv.slice(2) as [
  string,
  string,
  ...string[],
];
const len = Number(pageBytes);
const random = seededRandom(Number(seed));

function tell(message: WriterMessage): void {
  process.send!(message);
}

async function live(): Promise<never> {
  const disk = piecewiseDisk(nodeDisk, { pieceBytes: 1536, onAppend: () => tell({ kind: 'append' }) });
  const store = await openTestStore(directory, {
    disk,
    capacityBytes: Number(capacityBytes),
    random: systemRandom,
  });
  for (let pageId = 0; ; pageId += 1) {
    const before = store.metrics.get('seekfs_l2_written_bytes_total');
    const page = testPage({ path: name, pageId, len });
    await store.put(page);
    if (store.metrics.get('seekfs_l2_written_bytes_total') === before) {
      tell({ kind: 'declined' });
    } else {
      tell({ kind: 'put', pageId });
      if (!(await store.get(page))) throw new Error('a page was lost at once');
    }
    // Now and then it also merges, compacts and writes the checkpoint, for all of them.
    if (random.unit() < MAINTENANCE_SHARE) await store.store.maintenance.clean();
    const other = others[Math.floor(random.unit() * others.length)];
    const wanted = Math.floor(random.unit() * PAGES_LOOKED_FOR);
    if (other !== undefined) await store.get(testPage({ path: other, pageId: wanted, len }));
  }
}

process.on('disconnect', () => process.exit(0));
live().catch((error: unknown) => {
  tell({ kind: 'failed', reason: String(error) });
  process.exitCode = 3;
});
