// The next version before it is committed: base and edit merged into a compiled index, and from it the manifest's
// bytes. Streams from end to end; what is held is the gzip of the manifest.
import { createHash } from 'node:crypto';
import { loadCrc32c } from '../base/crc32c.ts';
import { MIB } from '../base/units.ts';
import { encodeManifest } from './codec.ts';
import { digestOf, toDigest } from './digest.ts';
import { applyEdit, type AppliedEdit, type ManifestEdit } from './edit.ts';
import { IndexWriter } from './index-format.ts';
import type { IndexSpool } from './index-spool.ts';
import { IndexVersion } from './index-version.ts';
import { indexKey } from './key-layout.ts';
import type { ManifestCache } from './manifest-cache.ts';
import type { ManifestHeader, PinnedVersion, PublishedIndex } from './types.ts';

/** From so many files on, the index is published beside the manifest: below, building it costs less than a request. */
const PUBLISHED_INDEX_FILES_MIN = 10_000;
const FLUSH_BYTES = MIB;

export interface Draft extends AppliedEdit {
  readonly version: number;
  /** The manifest object. */
  readonly bytes: Buffer;
  readonly digest: string;
  readonly fileCount: number;
  readonly totalBytes: number;
  /** To be put before the manifest that names it. */
  readonly index: PublishedIndex | undefined;
  /** Holds the index; the caller keeps or drops it. */
  readonly spool: IndexSpool;
}

export interface DraftRequest {
  readonly ns: string;
  readonly base: PinnedVersion | undefined;
  readonly edit: ManifestEdit;
  /** Unix seconds. */
  readonly createdAtS: number;
  readonly publishId: string;
}

interface Written extends AppliedEdit {
  readonly header: ManifestHeader;
  readonly fileCount: number;
  readonly totalBytes: number;
  readonly indexBytes: number;
  readonly indexHex: string;
}

/** @throws usage (a path twice), disk_full, access_denied */
export async function draftVersion(cache: ManifestCache, request: DraftRequest): Promise<Draft> {
  await loadCrc32c();
  const { spool, result } = await cache.write((spool) => writeIndex(spool, request));
  try {
    const { ns } = request;
    const { header, indexHex, indexBytes, fileCount } = result;
    const index =
      fileCount < PUBLISHED_INDEX_FILES_MIN
        ? undefined
        : { key: indexKey(ns, header.version, indexHex), digest: toDigest(indexHex), sizeBytes: indexBytes };
    const next = await IndexVersion.open({ ns, digest: '' }, await spool.source());
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of encodeManifest({ ...header, index }, next.list())) chunks.push(chunk);
    } finally {
      await next.close();
    }
    const bytes = Buffer.concat(chunks);
    return { ...result, version: header.version, bytes, digest: await digestOf(bytes), index, spool };
  } catch (error) {
    await spool.drop();
    throw error;
  }
}

async function writeIndex(spool: IndexSpool, request: DraftRequest): Promise<Written> {
  const { ns, base } = request;
  const writer = new IndexWriter(ns);
  const hash = createHash('sha256');
  let indexBytes = 0;
  const flush = async (): Promise<void> => {
    const chunks = writer.takeBytes();
    for (const chunk of chunks) {
      hash.update(chunk);
      indexBytes += chunk.length;
    }
    await spool.append(chunks);
  };
  const applied = await applyEdit(request, (entry) => {
    writer.add(entry);
    return writer.pendingBytes >= FLUSH_BYTES ? flush() : undefined;
  });
  const header: ManifestHeader = {
    version: (base?.version ?? 0) + 1,
    parents: base ? [base.version] : [],
    tombstones: applied.tombstones,
    createdAtS: request.createdAtS,
    publishId: request.publishId,
    index: undefined,
  };
  writer.finish(header);
  await flush();
  const { fileCount, totalBytes } = writer;
  return { ...applied, header, fileCount, totalBytes, indexBytes, indexHex: hash.digest('hex') };
}
