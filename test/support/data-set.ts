// A published version made from bytes in memory, through the real codec: for tests of what reads it.
import { createHash } from 'node:crypto';
import { crc32c, loadCrc32c } from '../../src/lib/base/crc32c.ts';
import { silentLogger } from '../../src/lib/base/log.ts';
import { seededRandom } from '../../src/lib/base/random.ts';
import { encodeManifest } from '../../src/lib/manifest/codec.ts';
import { manifestKey } from '../../src/lib/manifest/key-layout.ts';
import { openVersion } from '../../src/lib/manifest/pinned.ts';
import type { FileEntry, PageEntry, PinnedVersion } from '../../src/lib/manifest/types.ts';
import type { ObjectStore } from '../../src/lib/objectstore/object-store.ts';
import { GRANULE_BYTES, granuleCount } from '../../src/lib/page/page.ts';

export interface DataFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly pageSizeBytes: number;
  /** `granules`: CRCs of pages and granules; `pages`: as the seed writes them; `none`: no CRC, no hash. */
  readonly checksums?: 'granules' | 'pages' | 'none' | undefined;
  readonly withoutEtag?: boolean | undefined;
}

/** Bytes that differ from place to place, the same for a seed. */
export function someBytes(length: number, seed = 1): Buffer {
  const random = seededRandom(seed);
  const bytes = Buffer.allocUnsafe(length);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(length / 4));
  for (let index = 0; index < words.length; index += 1) words[index] = random.unit() * 2 ** 32;
  for (let index = words.length * 4; index < length; index += 1) bytes[index] = random.unit() * 256;
  return bytes;
}

function entryOf(file: DataFile, storage: FileEntry['storage']): FileEntry {
  const { path, bytes, pageSizeBytes, checksums = 'granules' } = file;
  const pages: PageEntry[] = [];
  const granuleCrcs: number[] = [];
  for (let off = 0; off < bytes.length; off += pageSizeBytes) {
    const page = bytes.subarray(off, off + pageSizeBytes);
    pages.push({
      pageId: pages.length,
      off,
      len: page.length,
      crc32c: checksums === 'none' ? undefined : crc32c(page),
    });
    for (let granule = 0; granule < granuleCount({ len: page.length }); granule += 1) {
      granuleCrcs.push(crc32c(page.subarray(granule * GRANULE_BYTES, (granule + 1) * GRANULE_BYTES)));
    }
  }
  return {
    path,
    sizeBytes: bytes.length,
    hash: checksums === 'none' ? undefined : `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
    storage,
    pages,
    granuleCrcs: checksums === 'granules' ? Uint32Array.from(granuleCrcs) : undefined,
    modifiedAtMs: undefined,
    extra: undefined,
  };
}

/** Puts the files (each its own object, or all in one shard) and a manifest that names them, and opens it. */
export async function publishBytes(
  store: ObjectStore,
  files: readonly DataFile[],
  options: { ns?: string; version?: number; pack?: boolean } = {},
): Promise<PinnedVersion> {
  await loadCrc32c();
  const { ns = 'dev', version = 1 } = options;
  const put = async (key: string, bytes: Uint8Array): Promise<string> =>
    (await store.put({ key, source: { kind: 'bytes', bytes }, condition: { kind: 'none' }, durable: false })).etag;
  const entries: FileEntry[] = [];
  if (options.pack) {
    const key = `namespaces/${ns}/files/shard-${version}`;
    const etag = await put(key, Buffer.concat(files.map((file) => file.bytes)));
    let off = 0;
    for (const file of files) {
      entries.push(entryOf(file, { key, etag, sse: undefined, off }));
      off += file.bytes.length;
    }
  } else {
    for (const file of files) {
      const key = `namespaces/${ns}/files/${file.path}`;
      const etag = await put(key, file.bytes);
      entries.push(entryOf(file, { key, etag: file.withoutEtag ? undefined : etag, sse: undefined, off: 0 }));
    }
  }
  const chunks: Buffer[] = [];
  const header = {
    version,
    parents: [],
    tombstones: [],
    createdAtS: 1_700_000_000,
    publishId: undefined,
    index: undefined,
  };
  for await (const chunk of encodeManifest(header, entries)) chunks.push(chunk);
  await put(manifestKey(ns, version), Buffer.concat(chunks));
  return openVersion({ store, cachePath: undefined, log: silentLogger }, ns, { version });
}

/** Everything that an iteration of slabs brings, each slab released. */
export async function collect(slabs: AsyncIterable<{ readonly bytes: Buffer; release(): void }>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const slab of slabs) {
    parts.push(Buffer.from(slab.bytes));
    slab.release();
  }
  return Buffer.concat(parts);
}
