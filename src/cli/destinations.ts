// Where `get` puts what it downloads.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SeekfsError } from '../lib/base/errors.ts';
import type { Download } from '../lib/maintain/local-file.ts';
import type { SelectedFile } from '../lib/maintain/select.ts';
import { findFile } from '../lib/manifest/find-file.ts';
import type { PinnedVersion } from '../lib/manifest/types.ts';

/** As `cp -r` has it; one file goes to the destination itself, unless that is a directory or ends in a slash. */
export async function placeFiles(
  selected: readonly SelectedFile[],
  names: readonly string[],
  destination: string,
): Promise<Download[]> {
  const [only] = selected;
  if (names.length === 1 && only?.entry.path === names[0] && !destination.endsWith('/')) {
    const isDirectory = await stat(destination)
      .then((found) => found.isDirectory())
      .catch(() => false);
    if (!isDirectory) return [{ entry: only!.entry, file: destination }];
  }
  return selected.map(({ entry, relativePath }) => ({ entry, file: join(destination, relativePath) }));
}

/** A lone dash is stdout to other tools. */
export function refuseStdout(ns: string, destination: string): void {
  if (destination !== '-') return;
  throw new SeekfsError('usage', `get writes files: "cat ${ns} PATH" writes to stdout, and ./- is a file of that name`);
}

/** `get NS big.bin` would fetch everything into a directory of that name, which nobody means. */
export async function refuseFileName(version: PinnedVersion, destination: string): Promise<void> {
  if (!(await findFile(version, destination))) return;
  throw new SeekfsError(
    'usage',
    `${destination} is a file of ${version.ns}: give a destination behind it, or write ./${destination} for a directory`,
  );
}
