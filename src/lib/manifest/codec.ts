// Manifest v1: gzip JSON, decoded and encoded as a stream of entries, in bounded memory whatever the document claims.
// Field names are the interop contract (docs/format/manifest.md); what an entry looks like is in entry-json.ts.
import { pipeline, Readable } from 'node:stream';
import { createGunzip, createGzip, gunzipSync } from 'node:zlib';
import { SeekfsError, systemErrorCode, throwIfAborted } from '../base/errors.ts';
import { GIB, KIB, MIB } from '../base/units.ts';
import { encodeEntry, parseDigest, parseEntry, parseInteger, parseObject, parsePath, parseText } from './entry-json.ts';
import { ManifestScan } from './json-scan.ts';
import { KEY_BYTES_MAX } from './key-layout.ts';
import type { FileEntry, ManifestHeader, PublishedIndex } from './types.ts';

/** Of the compressed object. */
export const MANIFEST_BYTES_MAX = 2 * GIB;
/** JSON of manifests packs 3 to 60 times; gzip can do 1,000. What packs more, and is not small, is a bomb. */
const UNPACK_RATIO_MAX = 200;
const UNPACKED_BYTES_ALWAYS = 64 * MIB;
/** Smaller manifests are unpacked in one go: the streams that others take are ten times as much to load and to run. */
const PACKED_AT_ONCE_MAX = 64 * KIB;
const UNPACKED_AT_ONCE_MAX = 256 * KIB;
const PARENTS_MAX = 1000;
const ENCODE_BATCH_CHARS = 256 * 1024;

function parseList<T>(value: unknown, what: string, parse: (element: unknown) => T): T[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value))
    throw new SeekfsError('manifest_invalid', `the manifest is malformed: ${what} is no array`);
  return value.map(parse);
}

function parseIndex(value: unknown): PublishedIndex | undefined {
  if (value === undefined || value === null) return undefined;
  const fields = parseObject(value, '"index"');
  return {
    key: parseText(fields['key'], 'the key of the index', KEY_BYTES_MAX),
    digest: parseDigest(fields['digest'], 'the digest of the index'),
    sizeBytes: parseInteger(fields['size'], 'the size of the index', { min: 1 }),
  };
}

function parseHeader(members: ReadonlyMap<string, unknown>): ManifestHeader {
  const parents = parseList(members.get('parents'), '"parents"', (parent) =>
    parseInteger(parent, 'a parent', { min: 1 }),
  );
  if (parents.length > PARENTS_MAX) throw new SeekfsError('manifest_invalid', 'the manifest has too many parents');
  const publishId = members.get('publish_id');
  return {
    version: parseInteger(members.get('version'), '"version"', { min: 1 }),
    parents,
    tombstones: parseList(members.get('tombstones'), '"tombstones"', (path) => parsePath(path, 'a tombstone')),
    createdAtS: parseInteger(members.get('created_at'), '"created_at"', { min: 0 }),
    publishId: typeof publishId === 'string' && publishId.length <= 128 ? publishId : undefined,
    index: parseIndex(members.get('index')),
  };
}

export interface DecodeOptions {
  /** Each entry in document order; a promise holds the decoding back. Duplicates are the caller's to find. */
  readonly onEntry: (entry: FileEntry) => void;
  /** Called after a batch of entries: lets the caller wait (for disk, say) between them. */
  readonly onBatch?: (() => void | Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Decodes the gzip bytes of a manifest.
 * @throws manifest_invalid
 */
export async function decodeManifest(
  packed: Uint8Array | AsyncIterable<Uint8Array>,
  options: DecodeOptions,
): Promise<ManifestHeader> {
  const members = new Map<string, unknown>();
  const scan = new ManifestScan({
    member: (name, value) => members.set(name, value),
    file: (value) => options.onEntry(parseEntry(value)),
  });
  let packedBytes = 0;
  let unpackedBytes = 0;
  const counted = async function* (): AsyncIterable<Uint8Array> {
    for await (const chunk of packed instanceof Uint8Array ? [packed] : packed) {
      packedBytes += chunk.byteLength;
      yield chunk;
    }
  };
  try {
    for await (const chunk of unpackSmall(packed) ?? unpackStream(counted())) {
      throwIfAborted(options.signal);
      unpackedBytes += chunk.length;
      if (unpackedBytes > Math.max(UNPACKED_BYTES_ALWAYS, packedBytes * UNPACK_RATIO_MAX)) {
        throw new SeekfsError(
          'manifest_invalid',
          `the manifest unpacks to more than ${unpackedBytes} bytes: a gzip bomb`,
        );
      }
      scan.push(chunk);
      await options.onBatch?.();
    }
  } catch (error) {
    const code = systemErrorCode(error) ?? '';
    // Anything else was thrown by the source or by the caller, who knows what it means.
    if (!code.startsWith('Z_')) throw error;
    throw new SeekfsError('manifest_invalid', `the manifest is no whole gzip stream: ${code}`, { cause: error });
  }
  scan.end();
  return parseHeader(members);
}

class FilesReached extends Error {}

/**
 * The index that a manifest names, from the first bytes of the object: nothing of the files is parsed. Undefined where
 * there is none, or where it cannot be told; what is wrong with the manifest is found by whoever decodes it.
 */
export async function peekIndex(packed: Uint8Array): Promise<PublishedIndex | undefined> {
  let index: unknown;
  const scan = new ManifestScan({
    member: (name, value) => {
      if (name === 'index') index = value;
    },
    beginFiles: () => {
      throw new FilesReached();
    },
    file: () => undefined,
  });
  let unpackedBytes = 0;
  try {
    for await (const chunk of unpackSmall(packed) ?? unpackStream([packed])) {
      scan.push(chunk);
      unpackedBytes += chunk.length;
      if (index !== undefined || unpackedBytes > UNPACKED_BYTES_ALWAYS) break;
    }
  } catch {
    // The end of the bytes, or of what is to be seen.
  }
  try {
    return parseIndex(index);
  } catch {
    return undefined;
  }
}

/** Undefined where it is not small, or damaged: what is wrong with it is said by the stream. */
function unpackSmall(packed: Uint8Array | AsyncIterable<Uint8Array>): readonly Buffer[] | undefined {
  if (!(packed instanceof Uint8Array) || packed.byteLength > PACKED_AT_ONCE_MAX) return undefined;
  try {
    return [gunzipSync(packed, { maxOutputLength: UNPACKED_AT_ONCE_MAX })];
  } catch {
    return undefined;
  }
}

function unpackStream(packed: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncIterable<Buffer> {
  const unpack = createGunzip({ chunkSize: 64 * KIB });
  pipeline(Readable.from(packed, { objectMode: true, highWaterMark: 1 }), unpack, ignoreEnd);
  return unpack;
}

/** Both ends of a pipeline are destroyed with its error, which whoever reads the last one gets thrown. */
function ignoreEnd(): void {}

function encodeHead(header: ManifestHeader): string {
  const fields = {
    version: header.version,
    parents: header.parents,
    created_at: header.createdAtS,
    ...(header.publishId === undefined ? {} : { publish_id: header.publishId }),
    ...(header.index
      ? { index: { key: header.index.key, digest: header.index.digest, size: header.index.sizeBytes } }
      : {}),
    // Last, because they may be many: what comes before is found in the first bytes of the object.
    tombstones: header.tombstones,
  };
  return `${JSON.stringify(fields).slice(0, -1)},"files":[`;
}

/** The same, unpacked: what `GET /manifest` answers. */
export async function* encodeManifestJson(
  header: ManifestHeader,
  entries: AsyncIterable<FileEntry> | Iterable<FileEntry>,
): AsyncIterable<Buffer> {
  let text = encodeHead(header);
  let separator = '\n';
  for await (const entry of entries) {
    text += separator + encodeEntry(entry);
    separator = ',\n';
    if (text.length > ENCODE_BATCH_CHARS) {
      yield Buffer.from(text);
      text = '';
    }
  }
  yield Buffer.from(`${text}\n]}\n`);
}

/** The gzip bytes of a manifest, chunk by chunk. The entries come in UTF-8 byte order of their paths, each once. */
export function encodeManifest(
  header: ManifestHeader,
  entries: AsyncIterable<FileEntry> | Iterable<FileEntry>,
): AsyncIterable<Buffer> {
  const pack = createGzip({ level: 4, chunkSize: 256 * 1024 });
  pipeline(Readable.from(encodeManifestJson(header, entries), { objectMode: true, highWaterMark: 1 }), pack, ignoreEnd);
  return pack;
}
