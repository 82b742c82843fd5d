// The history of a namespace, version by version, as far back as the manifests are still there.
import { isSeekfsError } from '../base/errors.ts';
import type { PinnedVersion } from '../manifest/types.ts';

/** From `newest` to its first parent, and so on; each version is closed when the next is asked for. */
export async function* walkHistory(
  newest: PinnedVersion,
  open: (version: number) => Promise<PinnedVersion>,
): AsyncGenerator<PinnedVersion> {
  let next: PinnedVersion | undefined = newest;
  while (next) {
    const current: PinnedVersion = next;
    try {
      yield current;
    } finally {
      await current.close();
    }
    const parent = current.header.parents[0];
    // A parent that is not older would be a circle.
    next = parent === undefined || parent >= current.version ? undefined : await openOrEnd(parent, open);
  }
}

async function openOrEnd(
  version: number,
  open: (version: number) => Promise<PinnedVersion>,
): Promise<PinnedVersion | undefined> {
  try {
    return await open(version);
  } catch (error) {
    if (isSeekfsError(error, 'version_not_found')) return undefined;
    throw error;
  }
}
