// Which files of a version a user means: a path, a directory (`images` or `images/`), a glob, or everything. For
// `get`; one listing or lookup per argument, no request. (`warm` and `gen` take patterns: path-patterns.ts.)
import { SeekfsError } from '../base/errors.ts';
import { findFile } from '../manifest/find-file.ts';
import type { FileEntry, PinnedVersion } from '../manifest/types.ts';

export interface SelectedFile {
  readonly entry: FileEntry;
  /** The path below what was named, as `cp -r` has it: `images` keeps "images/1.jpg", `images/` and globs give "1.jpg". */
  readonly relativePath: string;
}

/**
 * In the order of the arguments, each file once.
 * @throws path_not_found where an argument names nothing
 */
export async function* selectFiles(version: PinnedVersion, names: readonly string[]): AsyncGenerator<SelectedFile> {
  if (names.length === 0) {
    for await (const entry of version.list()) yield { entry, relativePath: entry.path };
    return;
  }
  const seen = new Set<string>();
  for (const name of names) {
    let isFound = false;
    for await (const file of named(version, name)) {
      isFound = true;
      if (names.length > 1 && seen.has(file.entry.path)) continue;
      if (names.length > 1) seen.add(file.entry.path);
      yield file;
    }
    if (!isFound) {
      throw new SeekfsError(
        'path_not_found',
        `version ${version.version} of ${version.ns} has no file ${name}, and none below it`,
        {
          details: { ns: version.ns, version: version.version, path: name },
        },
      );
    }
  }
}

async function* named(version: PinnedVersion, name: string): AsyncGenerator<SelectedFile> {
  const exact = name.endsWith('/') ? undefined : await findFile(version, name);
  if (exact) {
    yield { entry: exact, relativePath: baseName(name) };
    return;
  }
  const glob = /[*?[\]{}]/.exec(name);
  const directory = glob ? directoryOf(name.slice(0, glob.index)) : name.endsWith('/') ? name : `${name}/`;
  const stripped = glob || name.endsWith('/') ? directory.length : directoryOf(name).length;
  const matches = glob ? await matcher(name) : () => true;
  for await (const entry of version.list({ prefix: directory })) {
    if (matches(entry.path)) yield { entry, relativePath: entry.path.slice(stripped) };
  }
}

async function matcher(glob: string): Promise<(path: string) => boolean> {
  const { default: picomatch } = await import('picomatch');
  return picomatch(glob, { dot: true });
}

/** Up to and with the last slash. */
function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
