// Small files that lie side by side in one object, as `put --pack` stores them: read together, so that neighbours share
// GETs, and written to disk together, so that one sync serves them all.
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { throwIfAborted, wrapSystemError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import { makeDirectory } from '../disk/make-directory.ts';
import { nodeDisk } from '../disk/node-disk.ts';
import type { GetContext, GetOutcome } from './get.ts';
import { isPresent, partialPath, putInPlace, writeFully, type Download } from './local-file.ts';

/** Larger files gain nothing from company. */
const SMALL_BYTES_MAX = MIB;
/** Each takes a slab of memory at least, and a few groups are under way at once. */
const GROUP_FILES_MAX = 256;
const GROUP_BYTES_MAX = 8 * MIB;
/** One sync of the file system costs about as much as that many of files. */
const SYNC_ONE_BY_ONE_MAX = 16;

/** The downloads by object and place in it, small ones of one object in groups, all others by themselves. */
export function* togetherInObject(downloads: readonly Download[]): Generator<readonly Download[], undefined> {
  let group: Download[] = [];
  let groupBytes = 0;
  for (const download of inObjectOrder(downloads)) {
    const { storage, sizeBytes } = download.entry;
    const fits =
      sizeBytes <= SMALL_BYTES_MAX &&
      group[0]?.entry.storage.key === storage.key &&
      group.length < GROUP_FILES_MAX &&
      groupBytes + sizeBytes <= GROUP_BYTES_MAX;
    if (!fits) {
      if (group.length > 0) yield group;
      group = [];
      groupBytes = 0;
    }
    group.push(download);
    groupBytes += sizeBytes;
  }
  if (group.length > 0) yield group;
  return undefined;
}

/** Objects in the order in which they are first asked for. */
function inObjectOrder(downloads: readonly Download[]): readonly Download[] {
  const order = new Map<string, number>();
  for (const { entry } of downloads) {
    if (!order.has(entry.storage.key)) order.set(entry.storage.key, order.size);
  }
  if (order.size === downloads.length) return downloads;
  return downloads.toSorted(
    ({ entry: { storage: a } }, { entry: { storage: b } }) => order.get(a.key)! - order.get(b.key)! || a.off - b.off,
  );
}

/** @throws as Reader.readv; access_denied, disk_full for the local side; interrupted */
export async function getTogether(
  context: GetContext,
  downloads: readonly Download[],
  advance: (bytes: number) => void,
): Promise<GetOutcome[]> {
  const outcomes: GetOutcome[] = [];
  const absent: Download[] = [];
  for (const download of downloads) {
    throwIfAborted(context.signal);
    const isThere = await isPresent(download.entry, download.file, context.signal);
    outcomes.push({ isPresent: isThere, resumedBytes: 0 });
    if (isThere) advance(download.entry.sizeBytes);
    else absent.push(download);
  }
  if (absent.length === 0) return outcomes;
  let placed = 0;
  try {
    await makeDirectories(absent);
    await writePartials(context, absent, advance);
    await makeDurable(absent);
    for (const download of absent) {
      await naming(download, () => putInPlace(download));
      placed += 1;
    }
    return outcomes;
  } catch (error) {
    for (const { entry, file } of absent.slice(placed)) await unlink(partialPath(entry, file)).catch(() => undefined);
    throw wrapSystemError(error, 'get');
  }
}

async function naming<T>({ file }: Download, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw wrapSystemError(error, `write ${file}`);
  }
}

async function makeDirectories(downloads: readonly Download[]): Promise<void> {
  let made: string | undefined;
  for (const download of downloads) {
    const directory = dirname(download.file);
    if (directory === made) continue;
    await naming(download, () => makeDirectory(directory));
    made = directory;
  }
}

async function writePartials(
  { reader, version, signal }: GetContext,
  downloads: readonly Download[],
  advance: (bytes: number) => void,
): Promise<void> {
  const filled = downloads.filter(({ entry }) => entry.sizeBytes > 0);
  for (const download of downloads) if (download.entry.sizeBytes === 0) await (await create(download)).close();
  const extents = filled.map(({ entry }) => ({ path: entry.path, off: 0, len: entry.sizeBytes }));
  let next = 0;
  let handle: FileHandle | undefined;
  let position = 0;
  try {
    for await (const slab of reader.readv(version, extents, { signal })) {
      try {
        // A slab may hold the end of one file and the begin of another.
        for (let at = 0; at < slab.bytes.length;) {
          const download = filled[next]!;
          handle ??= await create(download);
          const part = slab.bytes.subarray(at, at + download.entry.sizeBytes - position);
          const current = handle;
          await naming(download, () => writeFully(current, part, position));
          at += part.length;
          position += part.length;
          advance(part.length);
          if (position < download.entry.sizeBytes) continue;
          await handle.close();
          handle = undefined;
          position = 0;
          next += 1;
        }
      } finally {
        slab.release();
      }
    }
  } finally {
    await handle?.close();
  }
}

function create(download: Download): Promise<FileHandle> {
  return naming(download, () => open(partialPath(download.entry, download.file), 'w', 0o666));
}

async function makeDurable(downloads: readonly Download[]): Promise<void> {
  const [first] = downloads;
  if (downloads.length > SYNC_ONE_BY_ONE_MAX && (await nodeDisk.syncFileSystem?.(dirname(first!.file)))) return;
  for (const { entry, file } of downloads) {
    const handle = await open(partialPath(entry, file), 'r');
    try {
      await handle.datasync();
    } finally {
      await handle.close();
    }
  }
}
