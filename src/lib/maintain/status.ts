// What the cache directory holds, by namespace, from the segments alone: footers of sealed ones, heads of open ones.
// Sends no request, reads no payload, changes nothing; for `status`.
import { join } from 'node:path';
import { loadCrc32c } from '../base/crc32c.ts';
import { systemErrorCode, throwIfAborted, wrapSystemError } from '../base/errors.ts';
import { rememberedCapacity } from '../cache/capacity-file.ts';
import { FileHashes } from '../cache/file-hashes.ts';
import { layoutOf } from '../cache/layout.ts';
import { fileKeyOf } from '../cache/page-key.ts';
import type { Disk, DiskFile, DiskSpace } from '../disk/disk.ts';
import { listIfThere } from '../disk/if-there.ts';
import { Footer } from '../segment/footer.ts';
import type { RecordEntry } from '../segment/format.ts';
import { parseSegmentName, type SegmentName } from '../segment/names.ts';
import { readSegmentHeader, scanBatches } from '../segment/scan.ts';

export interface NamespaceUse {
  readonly ns: string;
  /** Distinct contents: a file that changed between versions counts once for each. */
  readonly files: number;
  /** Bytes of pages in records; a granule that two processes wrote counts twice until the cache is compacted. */
  readonly bytes: number;
}

export interface CacheUse {
  readonly path: string;
  readonly exists: boolean;
  readonly capacityBytes: number;
  readonly segments: number;
  readonly openSegments: number;
  /** Bytes that the segments' files take. */
  readonly usedBytes: number;
  /** What open segments may still grow by. */
  readonly reservedBytes: number;
  readonly records: number;
  /** Undefined where there is no such file system yet. */
  readonly space: DiskSpace | undefined;
  readonly namespaces: readonly NamespaceUse[];
}

/** @throws access_denied and what else the disk says, except that nothing is there */
export async function readCacheUse(deps: {
  readonly disk: Disk;
  readonly path: string;
  /** As configured; undefined: what was remembered when the cache was created. */
  readonly capacityBytes: number | undefined;
  readonly signal?: AbortSignal | undefined;
}): Promise<CacheUse> {
  const { disk, path, signal } = deps;
  const layout = layoutOf(path);
  const namespaces = new Map<string, { files: FileHashes; bytes: number }>();
  const use = { segments: 0, openSegments: 0, usedBytes: 0, reservedBytes: 0, records: 0 };
  const exists = await forEachSegment({ disk, path, signal }, async ({ name, sizeBytes, batches }) => {
    use.segments += 1;
    use.usedBytes += sizeBytes;
    if (name.kind === 'open') {
      use.openSegments += 1;
      use.reservedBytes += Math.max(0, name.reservedBytes - sizeBytes);
    }
    for await (const entries of batches) {
      for (const entry of entries) {
        const file = fileKeyOf(entry.group);
        if (!file) continue;
        use.records += 1;
        let sums = namespaces.get(file.ns);
        if (!sums) namespaces.set(file.ns, (sums = { files: new FileHashes(), bytes: 0 }));
        sums.files.add(file);
        sums.bytes += entry.payloadBytes;
      }
    }
  });
  return {
    path,
    exists,
    capacityBytes: deps.capacityBytes ?? (await rememberedCapacity(disk, layout.capacity)).capacityBytes,
    ...use,
    space: await disk.space(path).catch(() => undefined),
    namespaces: [...namespaces]
      .map(([ns, { files, bytes }]) => ({ ns, files: files.size, bytes }))
      .sort((a, b) => b.bytes - a.bytes),
  };
}

interface SeenSegment {
  readonly name: SegmentName;
  readonly sizeBytes: number;
  /** Its records, some thousand at a time. */
  readonly batches: AsyncIterable<readonly RecordEntry[]>;
}

/**
 * Every segment of the cache directory with what its records are about; false where there is no cache.
 * @throws access_denied and what else the disk says
 */
export async function forEachSegment(
  deps: { readonly disk: Disk; readonly path: string; readonly signal?: AbortSignal | undefined },
  see: (segment: SeenSegment) => Promise<void>,
): Promise<boolean> {
  await loadCrc32c();
  const { segments } = layoutOf(deps.path);
  const names = await listIfThere(deps.disk, segments).catch((error: unknown) => {
    throw wrapSystemError(error, `list the cache directory ${segments}`);
  });
  for (const fileName of names ?? []) {
    throwIfAborted(deps.signal);
    const name = parseSegmentName(fileName);
    if (name) await seeSegment(deps.disk, join(segments, fileName), name, see);
  }
  return names !== undefined;
}

/** Passes over one that is gone by now, and over what only has the name of one. */
async function seeSegment(
  disk: Disk,
  path: string,
  name: SegmentName,
  see: (segment: SeenSegment) => Promise<void>,
): Promise<void> {
  let file: DiskFile;
  try {
    file = await disk.open(path, 'read');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw wrapSystemError(error, `read the segment ${path}`);
  }
  try {
    const { sizeBytes, kind } = await file.stat();
    if (kind !== 'file') return;
    await see({ name, sizeBytes, batches: batchesOf(file, name, sizeBytes) });
  } finally {
    await file.close();
  }
}

/** None where the file is no segment. */
async function* batchesOf(
  file: DiskFile,
  name: SegmentName,
  sizeBytes: number,
): AsyncGenerator<readonly RecordEntry[]> {
  const header = await readSegmentHeader(file);
  if (!header) return;
  const id = Buffer.from(name.idHex, 'hex');
  const footer = name.kind === 'sealed' ? await Footer.read(file, { id, sizeBytes }) : undefined;
  if (footer) return yield* footer.batches();
  const scan = scanBatches(file, { id, sizeBytes, from: header.headerBytes, resync: false });
  for await (const { entries } of scan) yield entries;
}
