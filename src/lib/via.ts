// The library behind `--via URL`: versions and bytes come from a running `seekfs serve`, and no store or cache is
// touched. What needs those is refused.
import { clipRange, type ByteRange } from './base/byte-range.ts';
import { SeekfsError } from './base/errors.ts';
import { silentLogger, type Logger } from './base/log.ts';
import { MemoryGovernor, SLAB_BYTES, type Slab } from './base/memory.ts';
import { Metrics } from './base/metrics.ts';
import { copyShared } from './base/page-aligned.ts';
import { MIB } from './base/units.ts';
import { SeekfsClient, type ClientManifest } from './client.ts';
import type { Config } from './config/config.ts';
import { decodeManifest } from './manifest/codec.ts';
import { pathNotFound } from './manifest/find-file.ts';
import type { FileEntry, ManifestHeader, PinnedVersion, VersionSelector } from './manifest/types.ts';
import { compareKeys } from './objectstore/key.ts';
import type { Seekfs } from './open.ts';
import type { Extent, Reader, ReadOptions } from './read/reader.ts';

/** One POST /readv asks for at most so much. */
const BATCH_BYTES = 64 * MIB;
const BATCH_EXTENTS = 4096;

function refused(): SeekfsError {
  return new SeekfsError(
    'usage',
    'this cannot be done through --via: it needs the store or the cache itself; leave --via out',
  );
}

/** So many files are asked for one by one; whoever wants more gets the whole manifest at once. */
const SINGLE_LOOKUPS_MAX = 32;

class RemoteVersion implements PinnedVersion {
  readonly ns: string;
  readonly digest: string;
  readonly header: ManifestHeader;
  readonly fileCount: number;
  readonly totalBytes: number;
  readonly #client: SeekfsClient;
  readonly #found = new Map<string, Promise<FileEntry>>();
  #all: Promise<ReadonlyMap<string, FileEntry>> | undefined;

  constructor(client: SeekfsClient, ns: string, facts: ClientManifest & { readonly header: ManifestHeader }) {
    this.#client = client;
    this.ns = ns;
    this.digest = facts.digest;
    this.header = facts.header;
    this.fileCount = facts.fileCount;
    this.totalBytes = facts.totalBytes;
  }

  get version(): number {
    return this.header.version;
  }

  async lookup(path: string): Promise<FileEntry> {
    const found = this.#found.get(path);
    if (found) return found;
    if (!this.#all && this.#found.size < SINGLE_LOOKUPS_MAX) {
      const entry = this.#ask({ path }).then(([only]) => only!);
      this.#found.set(path, entry);
      return entry;
    }
    const entry = (await this.#everything()).get(path);
    if (entry) return entry;
    throw pathNotFound(this, path);
  }

  async *list({
    prefix = '',
    startAfter,
  }: { prefix?: string | undefined; startAfter?: string | undefined } = {}): AsyncIterable<FileEntry> {
    for (const entry of (await this.#everything()).values()) {
      if (!entry.path.startsWith(prefix)) continue;
      if (startAfter === undefined || compareKeys(entry.path, startAfter) > 0) yield entry;
    }
  }

  #everything(): Promise<ReadonlyMap<string, FileEntry>> {
    this.#all ??= this.#ask({}).then((entries) => {
      entries.sort((a, b) => compareKeys(a.path, b.path));
      return new Map(entries.map((entry) => [entry.path, entry]));
    });
    return this.#all;
  }

  async #ask(of: { readonly path?: string }): Promise<FileEntry[]> {
    const { packed } = await this.#client.manifest(this.ns, { ...of, version: selectorText(this) });
    const entries: FileEntry[] = [];
    await decodeManifest(packed, { onEntry: (entry) => entries.push(entry) });
    return entries;
  }

  async close(): Promise<void> {}
}

/** Cuts arriving bytes into slabs of the governor, so that the bound on memory holds here, too. */
async function* toSlabs(
  chunks: AsyncIterable<Buffer>,
  memory: MemoryGovernor,
  signal: AbortSignal | undefined,
): AsyncGenerator<Slab, void, undefined> {
  for await (const chunk of chunks) {
    for (let off = 0; off < chunk.length; off += SLAB_BYTES) {
      const part = chunk.subarray(off, off + SLAB_BYTES);
      const [slab] = (await memory.acquire([part.length], { lane: 'demand', signal }))!;
      copyShared(slab!.bytes, 0, part);
      yield slab!;
    }
  }
}

function selectorText({ version, digest }: { version: number; digest?: string | undefined }): string {
  return digest === undefined ? String(version) : `${version}@${digest}`;
}

class RemoteReader implements Reader {
  readonly #client: SeekfsClient;
  readonly #memory: MemoryGovernor;

  constructor(client: SeekfsClient, memory: MemoryGovernor) {
    this.#client = client;
    this.#memory = memory;
  }

  cached(): undefined {
    return undefined;
  }

  stream(
    version: PinnedVersion,
    entry: FileEntry,
    range: ByteRange,
    { signal }: ReadOptions = {},
  ): AsyncIterable<Slab> {
    const chunks = this.#client.blob(version.ns, entry.path, { ...range, version: selectorText(version), signal });
    return toSlabs(chunks, this.#memory, signal);
  }

  async *streamInline(...read: Parameters<Reader['stream']>): AsyncIterable<readonly Slab[]> {
    for await (const slab of this.stream(...read)) yield [slab];
  }

  async *readv(version: PinnedVersion, extents: readonly Extent[], { signal }: ReadOptions = {}): AsyncIterable<Slab> {
    // Clipped here, so that a bad one is found before the first byte and none is cut past its end.
    const clipped: Extent[] = [];
    for (const extent of extents) {
      const { sizeBytes } = await version.lookup(extent.path);
      clipped.push({ path: extent.path, ...clipRange(extent, sizeBytes) });
    }
    for (const batch of batches(clipped)) {
      const chunks = this.#client.readvStream(version.ns, batch, { version: selectorText(version), signal });
      yield* toSlabs(chunks, this.#memory, signal);
    }
  }

  warm(): Promise<never> {
    return Promise.reject(refused());
  }

  planWarm(): Promise<never> {
    return Promise.reject(refused());
  }

  async close(): Promise<void> {}
}

/** Extents larger than a batch are cut. */
function* batches(extents: readonly Extent[]): Generator<Extent[]> {
  let batch: Extent[] = [];
  let bytes = 0;
  for (const { path, off, len } of extents) {
    for (let done = 0; done === 0 || done < len;) {
      const part = { path, off: off + done, len: Math.min(len - done, BATCH_BYTES) };
      if (batch.length === BATCH_EXTENTS || (batch.length > 0 && bytes + part.len > BATCH_BYTES)) {
        yield batch;
        batch = [];
        bytes = 0;
      }
      batch.push(part);
      bytes += part.len;
      done += Math.max(1, part.len);
    }
  }
  if (batch.length > 0) yield batch;
}

class ViaSeekfs implements Seekfs {
  readonly config: Config;
  readonly metrics = new Metrics();
  readonly log: Logger;
  readonly memory: MemoryGovernor;
  readonly #client: SeekfsClient;

  constructor(client: SeekfsClient, config: Config, log: Logger) {
    this.config = config;
    this.log = log;
    this.memory = new MemoryGovernor({ limitBytes: config.memoryBytesMax });
    this.#client = client;
  }

  get store(): never {
    throw refused();
  }

  get publishing(): never {
    throw refused();
  }

  cache(): Promise<never> {
    return Promise.reject(refused());
  }

  segmentStore(): Promise<never> {
    return Promise.reject(refused());
  }

  async reader(): Promise<Reader> {
    return new RemoteReader(this.#client, this.memory);
  }

  async pin(
    ns: string,
    selector: VersionSelector,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<PinnedVersion> {
    const version = selector.kind === 'head' ? undefined : selectorText(selector);
    const facts = await this.#client.manifest(ns, { version, limit: 0, signal });
    const header = await decodeManifest(facts.packed, { onEntry: () => undefined, signal });
    return new RemoteVersion(this.#client, ns, { ...facts, header });
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

/** Sends nothing yet. @throws usage where the URL is none */
export function openVia(options: {
  url: string;
  token?: string | undefined;
  config: Config;
  log?: Logger | undefined;
}): Seekfs {
  const { url, token, config, log = silentLogger } = options;
  return new ViaSeekfs(new SeekfsClient({ url, token }), config, log);
}
