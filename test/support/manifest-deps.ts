// What the functions of the manifest room need, over a memory store, and short ways to put objects and list versions.
import { systemClock } from '../../src/lib/base/clock.ts';
import { silentLogger } from '../../src/lib/base/log.ts';
import { systemRandom } from '../../src/lib/base/random.ts';
import { nodeDisk } from '../../src/lib/disk/node-disk.ts';
import { pinVersion } from '../../src/lib/manifest/pinned.ts';
import type { PutDeps } from '../../src/lib/manifest/put.ts';
import type { FileEntry, VersionSelector } from '../../src/lib/manifest/types.ts';
import { MemoryObjectStore } from './memory-object-store.ts';
import type { ObjectStore } from '../../src/lib/objectstore/object-store.ts';

export function manifestDeps(store: ObjectStore = new MemoryObjectStore()): PutDeps {
  return {
    store,
    cachePath: undefined,
    log: silentLogger,
    clock: systemClock,
    random: systemRandom,
    unsafePublish: false,
    disk: nodeDisk,
  };
}

/** An object as any tool would put it. */
export async function putObject(store: ObjectStore, key: string, content: string | Uint8Array): Promise<string> {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const { etag } = await store.put({
    key,
    source: { kind: 'bytes', bytes },
    condition: { kind: 'none' },
    durable: false,
  });
  return etag;
}

export async function listKeys(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const page of store.list({ prefix })) found.push(...page.map((object) => object.key));
  return found;
}

export async function listEntries(
  deps: PutDeps,
  ns: string,
  selector: VersionSelector = { kind: 'head' },
): Promise<FileEntry[]> {
  const pinned = await pinVersion(deps, ns, selector);
  try {
    const entries: FileEntry[] = [];
    for await (const entry of pinned.list()) entries.push(entry);
    return entries;
  } finally {
    await pinned.close();
  }
}

/** Of a store: every call of `getRange` for bytes of files. */
export function countReads(store: ObjectStore): { keys: string[]; bytes: number } {
  const counts = { keys: [] as string[], bytes: 0 };
  const inner = store.getRange.bind(store);
  store.getRange = (request, sink) => {
    if (request.purpose === 'file') {
      counts.keys.push(request.key);
      counts.bytes += request.range.len;
    }
    return inner(request, sink);
  };
  return counts;
}
