// Is the process fit to serve: does the store answer, can the cache directory be written? One head request and one
// scratch file; asked by `GET /readyz`.
import { join } from 'node:path';
import { isSeekfsError, wrapSystemError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import type { Disk } from '../disk/disk.ts';
import { headKey } from '../manifest/key-layout.ts';
import type { ObjectStore } from '../objectstore/object-store.ts';

export interface ReadinessFinding {
  /** "store", "cache". */
  readonly name: string;
  readonly ok: boolean;
  /** A sentence for people: what was tried and what came of it. */
  readonly reason: string;
}

export interface ReadinessDeps {
  readonly store: ObjectStore;
  /** Undefined: nothing is kept on disk, and that is as it should be. */
  readonly cachePath: string | undefined;
  readonly disk: Disk;
  readonly random: Random;
}

export async function checkReadiness(deps: ReadinessDeps, signal?: AbortSignal): Promise<ReadinessFinding[]> {
  return Promise.all([checkStore(deps.store, signal), checkCache(deps)]);
}

/** The object need not be there: an answer is what counts. */
async function checkStore(store: ObjectStore, signal: AbortSignal | undefined): Promise<ReadinessFinding> {
  try {
    await store.head({ key: headKey('seekfs-readiness'), signal });
  } catch (error) {
    if (!isSeekfsError(error, 'object_not_found')) {
      return { name: 'store', ok: false, reason: wrapSystemError(error, `reach ${store.url}`).message };
    }
  }
  return { name: 'store', ok: true, reason: `${store.url} answers` };
}

async function checkCache({ cachePath, disk, random }: ReadinessDeps): Promise<ReadinessFinding> {
  if (cachePath === undefined) return { name: 'cache', ok: true, reason: 'nothing is kept on disk' };
  const scratch = join(cachePath, `ready-${Buffer.from(random.bytes(8)).toString('hex')}.tmp`);
  try {
    await disk.makeDirectory(cachePath);
    const file = await disk.open(scratch, 'create');
    try {
      // A full disk still takes names.
      await file.write([Buffer.from('seekfs\n')], 0);
    } finally {
      await file.close();
      await disk.remove(scratch);
    }
    return { name: 'cache', ok: true, reason: `${cachePath} can be written` };
  } catch (error) {
    return { name: 'cache', ok: false, reason: wrapSystemError(error, `write to ${cachePath}`).message };
  }
}
