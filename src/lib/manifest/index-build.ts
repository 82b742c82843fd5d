// Compiles the index of a manifest that is there as JSON: in one pass where its files are in order, as we write them;
// where they are not, in a second one that sorts the encoded records.
import { loadCrc32c } from '../base/crc32c.ts';
import { SeekfsError } from '../base/errors.ts';
import { ByteWriter } from './byte-cursor.ts';
import { decodeManifest } from './codec.ts';
import { IndexWriter } from './index-format.ts';
import { encodeRecord } from './index-record.ts';
import type { IndexSpool } from './index-spool.ts';
import type { FileEntry, ManifestHeader } from './types.ts';

export interface IndexedManifest {
  readonly ns: string;
  readonly version: number;
  /** Gzip, whole. */
  readonly bytes: Uint8Array;
}

class Unsorted extends Error {}

/**
 * Decodes the manifest into the spool.
 * @throws manifest_invalid; disk_full, access_denied for the spool
 */
export async function buildIndex(manifest: IndexedManifest, spool: IndexSpool, signal?: AbortSignal): Promise<void> {
  await loadCrc32c();
  try {
    await buildSorted(manifest, spool, signal);
  } catch (error) {
    if (!(error instanceof Unsorted)) throw error;
    await spool.reset();
    await buildUnsorted(manifest, spool, signal);
  }
}

async function buildSorted(manifest: IndexedManifest, spool: IndexSpool, signal?: AbortSignal): Promise<void> {
  const writer = new IndexWriter(manifest.ns);
  const header = await decodeManifest(manifest.bytes, {
    onEntry: (entry) => {
      if (!writer.add(entry)) throw new Unsorted();
    },
    onBatch: () => flush(writer, spool),
    signal,
  });
  await finish(manifest, { writer, header, spool });
}

function flush(writer: IndexWriter, spool: IndexSpool): Promise<void> | void {
  const chunks = writer.takeBytes();
  return chunks.length > 0 ? spool.append(chunks) : undefined;
}

interface EncodedEntry {
  readonly path: Buffer;
  readonly record: Buffer;
  readonly sizeBytes: number;
}

async function buildUnsorted(manifest: IndexedManifest, spool: IndexSpool, signal?: AbortSignal): Promise<void> {
  const encoded: EncodedEntry[] = [];
  const scratch = new ByteWriter(4096);
  const header = await decodeManifest(manifest.bytes, {
    onEntry: (entry: FileEntry) => {
      encodeRecord(scratch, manifest.ns, entry);
      encoded.push({ path: Buffer.from(entry.path), record: scratch.take(), sizeBytes: entry.sizeBytes });
    },
    signal,
  });
  encoded.sort((a, b) => Buffer.compare(a.path, b.path));
  const writer = new IndexWriter(manifest.ns);
  for (const { path, record, sizeBytes } of encoded) {
    if (!writer.addRecord(path, record, sizeBytes)) {
      const text = JSON.stringify(path.toString('utf8').slice(0, 120));
      throw new SeekfsError('manifest_invalid', `the manifest is malformed: path ${text} is there twice`);
    }
    if (writer.pendingBytes > 1024 * 1024) await flush(writer, spool);
  }
  await finish(manifest, { writer, header, spool });
}

async function finish(
  manifest: IndexedManifest,
  built: { writer: IndexWriter; header: ManifestHeader; spool: IndexSpool },
): Promise<void> {
  const { writer, header, spool } = built;
  if (header.version !== manifest.version) {
    throw new SeekfsError('manifest_invalid', `the manifest says that it is version ${header.version}`);
  }
  if (!Number.isSafeInteger(writer.totalBytes)) {
    throw new SeekfsError('manifest_invalid', 'the manifest is malformed: its files have too many bytes');
  }
  writer.finish(header);
  await spool.append(writer.takeBytes());
}
