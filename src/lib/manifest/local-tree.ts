// What `put` finds on the local file system: regular files with the paths they get, by the naming rule of `cp -r`.
// Symbolic links below a source and special files are reported, never followed; a source that is a link stands for what
// it leads to (a data set on another disk, say). Reads no file.
import { basename, join } from 'node:path';
import { SeekfsError, systemErrorCode, wrapSystemError } from '../base/errors.ts';
import type { Disk, DiskStat } from '../disk/disk.ts';
import { newPathFault } from './key-layout.ts';

export interface LocalFile {
  readonly kind: 'file';
  readonly sourcePath: string;
  /** In the namespace. */
  readonly path: string;
  readonly stat: DiskStat;
}

export interface LocalSkip {
  readonly kind: 'skip';
  readonly sourcePath: string;
  readonly reason: string;
}

/** A file whose name no file of a manifest can have. */
export interface LocalRefusal {
  readonly kind: 'refusal';
  readonly sourcePath: string;
  readonly path: string;
  /** As `newPathFault`. */
  readonly fault: string;
}

const REASONS = { symlink: 'a symbolic link', other: 'neither a file nor a directory' } as const;

/**
 * Walks the sources in order, names within a directory in the order of their UTF-16.
 * @throws file_not_found for a source that is not there
 */
export async function* walkSources(
  disk: Disk,
  options: { ns: string; sources: readonly string[]; prefix: string },
): AsyncGenerator<LocalFile | LocalSkip | LocalRefusal> {
  for (const source of options.sources) {
    if (source === '') throw new SeekfsError('usage', 'a source is empty');
    const isContents = /[/\\]$/.test(source) || ['.', '..'].includes(basename(source));
    const sourcePath = source.length > 1 ? source.replace(/\/+$/, '') || '/' : source;
    const stat = await statFollowing(disk, sourcePath).catch((error: unknown) => {
      if (source === '-' && systemErrorCode(error) === 'ENOENT') throw noStdin();
      throw wrapSystemError(error, `read ${source}`);
    });
    if (isContents && stat.kind !== 'directory') {
      throw new SeekfsError('usage', `${source} ends in a slash and is no directory`);
    }
    const name = isContents ? '' : basename(sourcePath);
    yield* walk(disk, options.ns, { sourcePath, path: joinPath(options.prefix, name), stat });
  }
}

/** The key is the hash of the bytes, and what is read once cannot be sent again. */
function noStdin(): SeekfsError {
  return new SeekfsError(
    'usage',
    'put reads files, not stdin: write the bytes to a file first, its name is their path',
  );
}

async function statFollowing(disk: Disk, path: string): Promise<DiskStat> {
  const stat = await disk.stat(path);
  if (stat.kind !== 'symlink') return stat;
  const target = await disk.open(path, 'read');
  try {
    return await target.stat();
  } finally {
    await target.close();
  }
}

function joinPath(prefix: string, name: string): string {
  const trimmed = prefix.replace(/\/+$/, '');
  if (trimmed === '' || name === '') return trimmed + name;
  return `${trimmed}/${name}`;
}

async function* walk(
  disk: Disk,
  ns: string,
  at: { sourcePath: string; path: string; stat: DiskStat },
): AsyncGenerator<LocalFile | LocalSkip | LocalRefusal> {
  const { sourcePath, path, stat } = at;
  if (stat.kind === 'file') {
    const fault = newPathFault(ns, path);
    yield fault ? { kind: 'refusal', sourcePath, path, fault } : { kind: 'file', sourcePath, path, stat };
  } else if (stat.kind === 'directory') {
    const names = await disk.list(sourcePath).catch((error: unknown) => {
      throw wrapSystemError(error, `list ${sourcePath}`);
    });
    for (const name of names) {
      const child = join(sourcePath, name);
      let childStat: DiskStat;
      try {
        childStat = await disk.stat(child);
      } catch (error) {
        if (systemErrorCode(error) !== 'ENOENT') throw wrapSystemError(error, `read ${child}`);
        yield {
          kind: 'skip',
          sourcePath: child,
          reason: name.includes('\ufffd') ? 'its name is not UTF-8' : 'it is gone',
        };
        continue;
      }
      yield* walk(disk, ns, { sourcePath: child, path: joinPath(path, name), stat: childStat });
    }
  } else {
    yield { kind: 'skip', sourcePath, reason: REASONS[stat.kind] };
  }
}

/** One error for all of them: whoever has to rename files wants to hear of each, not of the next one every time. */
export function refusalError(refusals: readonly LocalRefusal[], more: boolean): SeekfsError {
  const described = refusals.map(({ sourcePath, path, fault }) => {
    const asWhat = sourcePath.endsWith(path) ? '' : ` as ${quoted(path)}`;
    return `${quoted(sourcePath)}${asWhat}: ${fault}`;
  });
  const isOne = refusals.length === 1;
  const what = isOne ? 'a file' : `${more ? 'at least ' : ''}${refusals.length} files`;
  return new SeekfsError('usage', `${what} cannot be put: ${described.join('; ')}; rename ${isOne ? 'it' : 'them'}`, {
    details: { files: refusals.length },
  });
}

/** With line breaks as \n: a message is one line. A path may be too long for anybody to read. */
function quoted(path: string): string {
  return JSON.stringify(path.length <= 200 ? path : `${path.slice(0, 80)}…${path.slice(-80)}`);
}
