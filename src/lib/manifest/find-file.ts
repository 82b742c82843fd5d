// A lookup where it is an answer, and no failure, that the version has no such file.
import { isSeekfsError, SeekfsError } from '../base/errors.ts';
import type { FileEntry, PinnedVersion } from './types.ts';

/** Undefined where there is no file of that path. @throws as `PinnedVersion.lookup` for everything else */
export async function findFile(version: PinnedVersion, path: string): Promise<FileEntry | undefined> {
  try {
    return await version.lookup(path);
  } catch (error) {
    if (isSeekfsError(error, 'path_not_found')) return undefined;
    throw error;
  }
}

/** What `lookup` throws. */
export function pathNotFound({ ns, version }: Pick<PinnedVersion, 'ns' | 'version'>, path: string): SeekfsError {
  return new SeekfsError('path_not_found', `version ${version} of ${ns} has no file ${path}`, {
    details: { ns, path, version },
  });
}
