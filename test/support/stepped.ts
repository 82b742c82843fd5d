// A disk and a page cache whose operations are steps of a schedule, for tests of interleavings in the read path.
import type { MemoryGovernor } from '../../src/lib/base/memory.ts';
import type { Disk } from '../../src/lib/disk/disk.ts';
import { GRANULE_BYTES, type Page } from '../../src/lib/page/page.ts';
import { MemoryPageCache } from './memory-page-cache.ts';
import type { Steps } from './steps.ts';

export function steppedDisk(disk: Disk, steps: Steps): Disk {
  return {
    open: disk.open.bind(disk),
    rename: disk.rename.bind(disk),
    space: disk.space.bind(disk),
    makeDirectory: disk.makeDirectory.bind(disk),
    removeDirectory: disk.removeDirectory.bind(disk),
    syncDirectory: disk.syncDirectory.bind(disk),
    list: disk.list.bind(disk),
    stat: async (path) => {
      await steps.step('stat');
      return disk.stat(path);
    },
    link: async (from, to) => {
      await steps.step('link');
      await disk.link(from, to);
    },
    remove: async (path) => {
      await steps.step('remove');
      await disk.remove(path);
    },
  };
}

export class SteppedCache extends MemoryPageCache {
  readonly #steps: Steps;
  readonly #published: Buffer;

  /** `published`: what the pages are of. */
  constructor(parts: { memory: MemoryGovernor; steps: Steps; published: Buffer }) {
    super(parts.memory);
    this.#steps = parts.steps;
    this.#published = parts.published;
  }

  override async read(...args: Parameters<MemoryPageCache['read']>): ReturnType<MemoryPageCache['read']> {
    await this.#steps.step('cache read');
    return super.read(...args);
  }

  override insert(...[run, options]: Parameters<MemoryPageCache['insert']>): void {
    run.retain();
    void this.#steps.step('cache write').then(() => {
      super.insert(run, options);
      return run.release();
    });
  }

  /** A view of what was published, so that 10,000 schedules do not allocate gigabytes. */
  protected override copyOf(page: Page, granule: number, of: Buffer): Buffer {
    const off = page.off + granule * GRANULE_BYTES;
    const published = this.#published.subarray(off, off + of.length);
    if (!published.equals(of)) throw new Error(`wrong bytes of granule ${granule} of page ${page.pageId} were cached`);
    return published;
  }

  override async refresh(): Promise<void> {
    await this.#steps.step('refresh');
  }
}

/** Resolves when nobody holds memory. */
export async function memorySettled(memory: MemoryGovernor, steps: Steps): Promise<void> {
  while (memory.inUseBytes > 0) await steps.step('settle');
}
