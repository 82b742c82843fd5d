// Lists one tree of the directory store in the byte order of its keys, holding the names of the directories on the way
// down and nothing more, however many objects there are. Reads names and stats only; knows nothing of ETags.
import { join } from 'node:path';
import { systemErrorCode, throwIfAborted } from '../base/errors.ts';
import type { Disk, DiskStat } from '../disk/disk.ts';
import { statIfThere } from '../disk/if-there.ts';
import { compareKeys } from './key.ts';
import type { KeyPart } from './directory-layout.ts';

const STATS_AT_ONCE = 64;

export interface Walk {
  readonly disk: Disk;
  /** Undefined: the entry is no part of any key. */
  readonly parseName: (name: string, depth: number) => KeyPart | undefined;
  /** Byte strings (see KeyPart). */
  readonly prefix: string;
  readonly startAfter: string | undefined;
  readonly signal: AbortSignal | undefined;
}

export interface FoundFile {
  /** Byte string. */
  readonly key: string;
  readonly path: string;
  readonly stat: DiskStat;
}

interface Entry {
  readonly part: KeyPart;
  readonly name: string;
}

/** What every key at or below begins with. */
interface Subtree {
  readonly head: string;
  readonly path: string;
}

function mayHold(head: string, walk: Walk): boolean {
  if (!head.startsWith(walk.prefix) && !walk.prefix.startsWith(head)) return false;
  return walk.startAfter === undefined || head > walk.startAfter || walk.startAfter.startsWith(head);
}

function isWanted(key: string, walk: Walk): boolean {
  return key.startsWith(walk.prefix) && (walk.startAfter === undefined || key > walk.startAfter);
}

async function namesIn(disk: Disk, path: string): Promise<string[]> {
  try {
    return await disk.list(path);
  } catch (error) {
    const errno = systemErrorCode(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return [];
    throw error;
  }
}

/**
 * Entries in the order of their keys. A directory sorts as its name with a slash, but its kind is known only after a
 * stat: it waits on a stack while names follow that sort before the slash (`a`, then `a-b`, then `a/c`).
 */
export async function* walkTree(walk: Walk, top: Subtree, depth = 0): AsyncGenerator<FoundFile> {
  const entries: Entry[] = [];
  for (const name of await namesIn(walk.disk, top.path)) {
    const part = walk.parseName(name, depth);
    if (part && mayHold(top.head + part.bytes, walk)) entries.push({ part, name });
  }
  entries.sort((a, b) => (a.part.bytes < b.part.bytes ? -1 : 1));

  const waiting: Subtree[] = [];
  for (let start = 0; start < entries.length; start += STATS_AT_ONCE) {
    throwIfAborted(walk.signal);
    const batch = entries.slice(start, start + STATS_AT_ONCE);
    const stats = await Promise.all(batch.map((entry) => statIfThere(walk.disk, join(top.path, entry.name))));
    for (const [index, { part, name }] of batch.entries()) {
      const key = top.head + part.bytes;
      const path = join(top.path, name);
      while (waiting.length > 0 && waiting.at(-1)!.head < key) yield* walkTree(walk, waiting.pop()!, depth + 1);
      const stat = stats[index];
      if (stat?.kind === 'directory') {
        const subtree = { head: part.kind === 'chunk' ? key : `${key}/`, path };
        if (part.kind === 'file' || !mayHold(subtree.head, walk)) continue;
        if (part.kind === 'chunk') yield* walkTree(walk, subtree, depth + 1);
        else waiting.push(subtree);
      } else if (stat?.kind === 'file' && (part.kind === 'file' || part.kind === 'either') && isWanted(key, walk)) {
        yield { key, path, stat };
      }
    }
  }
  while (waiting.length > 0) yield* walkTree(walk, waiting.pop()!, depth + 1);
}

/** Merges two ordered lists; of two entries with one key `choose` says which counts: the first list's (true) or not. */
export async function* mergeOrdered<T extends { readonly key: string }>(
  first: AsyncGenerator<T>,
  second: AsyncGenerator<T>,
  chooseFirst: (key: string) => boolean,
): AsyncGenerator<T> {
  try {
    let [a, b] = [await first.next(), await second.next()];
    while (!a.done || !b.done) {
      const order = a.done ? 1 : b.done ? -1 : compareKeys(a.value.key, b.value.key);
      if (order < 0 || (order === 0 && chooseFirst(a.value!.key))) yield a.value!;
      else yield b.value!;
      if (order <= 0) a = await first.next();
      if (order >= 0) b = await second.next();
    }
  } finally {
    await first.return(undefined);
    await second.return(undefined);
  }
}
