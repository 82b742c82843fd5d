// A small data set in memory behind the contracts of manifest/types.ts and read/reader.ts: the reference for tests of
// the Blob API, with a hook that makes a chosen read fail, wait or be watched.
import { createHash } from 'node:crypto';
import { clipRange, type ByteRange } from '../../src/lib/base/byte-range.ts';
import { systemClock } from '../../src/lib/base/clock.ts';
import { SeekfsError, throwIfAborted } from '../../src/lib/base/errors.ts';
import { silentLogger } from '../../src/lib/base/log.ts';
import { MemoryGovernor, SLAB_BYTES, type Slab } from '../../src/lib/base/memory.ts';
import { Metrics } from '../../src/lib/base/metrics.ts';
import { MIB } from '../../src/lib/base/units.ts';
import type { BlobApiDeps } from '../../src/lib/blobapi/deps.ts';
import type { FileEntry, PinnedVersion, VersionSelector } from '../../src/lib/manifest/types.ts';
import type { Reader, ReadOptions, WarmOptions, WarmPlan, WarmTarget } from '../../src/lib/read/reader.ts';

export type Files = Readonly<Record<string, Buffer>>;

function fileEntry(path: string, bytes: Buffer): FileEntry {
  return {
    path,
    sizeBytes: bytes.length,
    hash: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
    storage: { key: `namespaces/dev/files/${path}`, etag: '"e"', sse: undefined, off: 0 },
    pages: bytes.length === 0 ? [] : [{ pageId: 0, off: 0, len: bytes.length, crc32c: 0 }],
    granuleCrcs: undefined,
    modifiedAtMs: undefined,
    extra: undefined,
  };
}

export function pinnedVersion(ns: string, version: number, files: Files, onClose?: () => void): PinnedVersion {
  const entries = Object.entries(files)
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([path, bytes]) => fileEntry(path, bytes));
  return {
    ns,
    version,
    digest: `sha256:${createHash('sha256').update(`${ns} ${version}`).digest('hex')}`,
    header: {
      version,
      parents: version > 1 ? [version - 1] : [],
      tombstones: [],
      createdAtS: 1_700_000_000,
      publishId: undefined,
      index: undefined,
    },
    fileCount: entries.length,
    totalBytes: entries.reduce((sum, entry) => sum + entry.sizeBytes, 0),
    lookup: (path) => {
      const entry = entries.find((candidate) => candidate.path === path);
      if (!entry) throw new SeekfsError('path_not_found', `version ${version} of ${ns} has no file ${path}`);
      return entry;
    },
    list: async function* ({ prefix = '', startAfter } = {}) {
      for (const entry of entries) {
        if (entry.path.startsWith(prefix) && (startAfter === undefined || entry.path > startAfter)) yield entry;
      }
    },
    close: async () => onClose?.(),
  };
}

function slabsOf({ entry, range }: WarmTarget): string[] {
  const first = Math.floor(range.off / SLAB_BYTES);
  const last = Math.floor((range.off + range.len - 1) / SLAB_BYTES);
  return Array.from({ length: last - first + 1 }, (_, index) => `${entry.path} ${first + index}`);
}

/** Called before each slab: may throw, wait, or count. */
export type OnSlab = (path: string, off: number, signal: AbortSignal | undefined) => void | Promise<void>;

export class MemoryReader implements Reader {
  readonly #memory: MemoryGovernor;
  readonly #bytesOf: (version: PinnedVersion, path: string) => Buffer;
  onSlab: OnSlab = () => undefined;
  open = 0;
  /** Every range of so many slabs is cached: read without a promise, past the hook. */
  isWarm = false;
  cachedSlabsMax = 1;
  /** What `warm` brought, slab by slab; `stream` brings nothing. */
  readonly warmed = new Set<string>();

  constructor(memory: MemoryGovernor, bytesOf: (version: PinnedVersion, path: string) => Buffer) {
    this.#memory = memory;
    this.#bytesOf = bytesOf;
  }

  cached(version: PinnedVersion, entry: FileEntry, range: ByteRange): Slab[] | undefined {
    const count = Math.ceil(range.len / SLAB_BYTES);
    if (!this.isWarm || count > this.cachedSlabsMax) return undefined;
    const lengths = Array.from({ length: count }, (_, index) => Math.min(SLAB_BYTES, range.len - index * SLAB_BYTES));
    const slabs = this.#memory.tryAcquire(lengths);
    const bytes = this.#bytesOf(version, entry.path);
    for (const [index, slab] of (slabs ?? []).entries()) bytes.copy(slab.bytes, 0, range.off + index * SLAB_BYTES);
    return slabs;
  }

  async *stream(
    version: PinnedVersion,
    entry: FileEntry,
    range: ByteRange,
    options: ReadOptions = {},
  ): AsyncIterable<Slab> {
    const bytes = this.#bytesOf(version, entry.path);
    this.open += 1;
    try {
      const end = range.off + range.len;
      for (let off = range.off; off < end;) {
        throwIfAborted(options.signal);
        const stop = Math.min(end, (Math.floor(off / SLAB_BYTES) + 1) * SLAB_BYTES);
        await this.onSlab(entry.path, off, options.signal);
        const [slab] = (await this.#memory.acquire([stop - off], { lane: 'demand', signal: options.signal }))!;
        bytes.copy(slab!.bytes, 0, off, stop);
        yield slab!;
        off = stop;
      }
    } finally {
      this.open -= 1;
    }
  }

  async *streamInline(...read: Parameters<Reader['stream']>): AsyncIterable<readonly Slab[]> {
    for await (const slab of this.stream(...read)) yield [slab];
  }

  async *readv(
    version: PinnedVersion,
    extents: readonly { path: string; off: number; len: number }[],
    options?: ReadOptions,
  ): AsyncIterable<Slab> {
    for (const extent of extents) {
      const entry = await version.lookup(extent.path);
      yield* this.stream(version, entry, clipRange(extent, entry.sizeBytes), options);
    }
  }

  /** Marks slabs as cached, after the hook had its say about each. */
  async warm(
    _version: PinnedVersion,
    targets: AsyncIterable<WarmTarget> | Iterable<WarmTarget>,
    options: WarmOptions = {},
  ): Promise<void> {
    await options.turn;
    for await (const target of targets) {
      for (const key of slabsOf(target)) {
        throwIfAborted(options.signal);
        await this.onSlab(target.entry.path, target.range.off, options.signal);
        this.warmed.add(key);
      }
    }
  }

  async planWarm(
    _version: PinnedVersion,
    targets: AsyncIterable<WarmTarget> | Iterable<WarmTarget>,
  ): Promise<WarmPlan> {
    let missing = 0;
    for await (const target of targets) missing += slabsOf(target).filter((key) => !this.warmed.has(key)).length;
    return { pages: missing, bytes: missing * SLAB_BYTES, gets: missing, paths: [] };
  }

  async close(): Promise<void> {}
}

export interface MemoryData extends BlobApiDeps {
  readonly memoryReader: MemoryReader;
  /** Versions of each namespace in order from 1; the last one is current. */
  readonly namespaces: Record<string, Files[]>;
  readonly pins: { opened: number; closed: number; heads: number };
}

/** Everything the Blob API needs, over `namespaces`, which a test may change while it runs. */
export function memoryData(namespaces: Record<string, Files[]>, options: { memoryBytes?: number } = {}): MemoryData {
  const memory = new MemoryGovernor({ limitBytes: options.memoryBytes ?? 32 * MIB });
  const pins = { opened: 0, closed: 0, heads: 0 };
  const memoryReader = new MemoryReader(
    memory,
    (version, path) => namespaces[version.ns]![version.version - 1]![path]!,
  );
  const pin = async (ns: string, selector: VersionSelector): Promise<PinnedVersion> => {
    const versions = namespaces[ns];
    if (!versions) throw new SeekfsError('namespace_not_found', `namespace ${ns} has no HEAD`);
    if (selector.kind === 'head') pins.heads += 1;
    const version = selector.kind === 'head' ? versions.length : selector.version;
    const files = versions[version - 1];
    if (!files) throw new SeekfsError('version_not_found', `namespace ${ns} has no version ${version}`);
    pins.opened += 1;
    return pinnedVersion(ns, version, files, () => {
      pins.closed += 1;
    });
  };
  return {
    head: async (ns) => {
      pins.heads += 1;
      const versions = namespaces[ns];
      return versions && { version: versions.length, digest: undefined };
    },
    pin,
    pins,
    namespaces,
    memory,
    memoryReader,
    reader: async () => memoryReader,
    metrics: new Metrics(),
    log: silentLogger,
    clock: systemClock,
    headObject: async (key) => {
      for (const versions of Object.values(namespaces)) {
        const found = versions
          .flatMap((files) => Object.entries(files))
          .find(([path]) => key.endsWith(`/files/${path}`));
        if (found) return { sizeBytes: found[1].length, etag: '"e"', modifiedAtMs: 1_700_000_000_000 };
      }
      throw new SeekfsError('object_not_found', `no object ${key}`);
    },
    bounds: {
      store: 'memory://test',
      cache: undefined,
      l1BytesMax: 16 * MIB,
      getBudgetPerSec: 200,
      l2: async () => ({ capacityBytes: 100 * MIB, usedBytes: 25 * MIB }),
    },
    readiness: async () => [{ name: 'store', ok: true, reason: 'answers' }],
  };
}
