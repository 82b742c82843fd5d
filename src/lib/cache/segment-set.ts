// The segments of one directory as this process knows them: follows what other processes create, append, seal and
// remove, fills the index with it, and lends out their open files. Never writes.
import type { Clock } from '../base/clock.ts';
import { systemErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';
import { listIfThere } from '../disk/if-there.ts';
import { Footer } from '../segment/footer.ts';
import { recordBytes, SEGMENT_HEADER_BYTES, type RecordEntry } from '../segment/format.ts';
import { formatSegmentName, parseSegmentName, type SegmentName } from '../segment/names.ts';
import { readSegmentHeader, recordBatches, scanBatches } from '../segment/scan.ts';
import { GRANULE_BYTES } from '../page/page.ts';
import { decodeGroup, decodeItem, hashGroup, type FileHash } from './page-key.ts';
import type { RecordIndex } from './record-index.ts';
import { SegmentFiles } from './segment-files.ts';

const LOADS_AT_ONCE = 8;

export interface Segment {
  /** Its number in this process's index. */
  readonly number: number;
  readonly id: Buffer;
  readonly idHex: string;
  /** Written by this process: the writer indexes what it appends. */
  own: boolean;
  name: SegmentName;
  fileName: string;
  /** Size of the file when it was last looked at. */
  sizeBytes: number;
  /** Records before this offset are in the index. */
  scannedTo: number;
  /** Sealed or given up, and scanned to its end: it needs no look again. */
  complete: boolean;
  records: number;
  /** Payload bytes by namespace, where they are counted. */
  readonly namespaces: Map<string, number>;
  /** How its writer called itself; undefined until the header was read. */
  owner: string | undefined;
  /** By its writer's clock, but later than all that the writer knew; 0 until the header was read. */
  createdAtMs: number;
  gone: boolean;
}

export class SegmentSet {
  readonly directoryPath: string;
  readonly index: RecordIndex;
  /** What the last checkpoint, or the one that was loaded, does not know. */
  readonly unsaved = { records: 0, segments: 0 };
  readonly #disk: Disk;
  readonly #metrics: Metrics;
  readonly #log: Logger;
  readonly #segments: (Segment | undefined)[] = [];
  readonly #byId = new Map<string, Segment>();
  readonly #files: SegmentFiles;
  readonly #namespaceBytes: Map<string, number> | undefined;
  #refreshing: Promise<void> | undefined;

  constructor(options: {
    disk: Disk;
    directoryPath: string;
    index: RecordIndex;
    clock: Clock;
    metrics: Metrics;
    log: Logger;
    /** Whether to count bytes by namespace, which takes the names of all records. */
    countNamespaces?: boolean | undefined;
  }) {
    this.#namespaceBytes = options.countNamespaces ? new Map() : undefined;
    this.directoryPath = options.directoryPath;
    this.index = options.index;
    this.#disk = options.disk;
    this.#files = new SegmentFiles(options);
    this.#metrics = options.metrics;
    this.#log = options.log;
  }

  get(number: number): Segment | undefined {
    return this.#segments[number];
  }

  *[Symbol.iterator](): Generator<Segment> {
    yield* this.#byId.values();
  }

  /** Bytes that the segments take or have reserved. */
  get boundBytes(): number {
    let sum = 0;
    for (const { name, sizeBytes } of this.#byId.values()) {
      sum += name.kind === 'open' ? Math.max(name.reservedBytes, sizeBytes) : sizeBytes;
    }
    return sum;
  }

  /** When the youngest segment was created; 0 where there is none. */
  get newestAtMs(): number {
    let newest = 0;
    for (const { createdAtMs } of this.#byId.values()) newest = Math.max(newest, createdAtMs);
    return newest;
  }

  /** Makes a segment known without reading it: one of our own, or one that a sidecar covers up to `scannedTo`. */
  add(fileName: string, covered: { own: boolean; scannedTo: number; sizeBytes: number; complete: boolean }): Segment {
    const name = parseSegmentName(fileName)!;
    const segment: Segment = {
      number: this.#segments.length,
      id: Buffer.from(name.idHex, 'hex'),
      idHex: name.idHex,
      name,
      fileName,
      records: 0,
      namespaces: new Map(),
      owner: undefined,
      createdAtMs: 0,
      gone: false,
      ...covered,
    };
    this.#segments.push(segment);
    this.#byId.set(name.idHex, segment);
    return segment;
  }

  /** A segment of our own has ended; from now on it is followed like everybody's, under the name it has on disk. */
  disown(segment: Segment, sealed: { readonly sizeBytes: number } | undefined): void {
    segment.own = false;
    if (!sealed) return;
    segment.sizeBytes = sealed.sizeBytes;
    segment.complete = true;
    segment.name = { kind: 'sealed', idHex: segment.idHex };
    segment.fileName = formatSegmentName(segment.name);
  }

  /** Puts a page's record into the index; a record that is none of a page's is passed over. */
  indexEntry(segment: Segment, entry: RecordEntry, hash: FileHash): void {
    const item = decodeItem(entry.item, entry.payloadBytes);
    if (!item) return;
    segment.records += 1;
    if (this.#namespaceBytes) this.#count(segment, entry);
    this.unsaved.records += 1;
    this.index.insert({
      lo: hash.lo,
      hi: hash.hi,
      pageId: item.pageId,
      segment: segment.number,
      offset: entry.offset,
      headBytes: entry.headBytes,
      firstGranule: item.firstGranule,
      granules: Math.ceil(entry.payloadBytes / GRANULE_BYTES),
    });
  }

  /**
   * Lists the directory and reads what is new in it. Callers at the same time share one pass.
   * @throws system errors of listing the directory; a segment that cannot be read is passed over until the next time
   */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** As `refresh`, with a listing that begins after this call. */
  async refreshAnew(): Promise<void> {
    await this.#refreshing?.catch(() => undefined);
    await this.refresh();
  }

  /** Resolves when no refresh is under way: what is indexed then is what the segments say is scanned. */
  async settled(): Promise<void> {
    while (this.#refreshing) await this.#refreshing.catch(() => undefined);
  }

  async #refresh(): Promise<void> {
    const names = new Map<string, { name: SegmentName; fileName: string }>();
    const before = [...this.#byId.values()];
    for (const fileName of (await listIfThere(this.#disk, this.directoryPath)) ?? []) {
      const name = parseSegmentName(fileName);
      if (name) names.set(name.idHex, { name, fileName });
    }
    // Only what was known before the listing: one of our own may be younger.
    const gone = before.filter((segment) => !names.has(segment.idHex));
    for (const segment of gone) this.forget(segment, { keepIndexed: true });
    if (gone.length > 0) this.index.removeSegments(new Set(gone.map((segment) => segment.number)));
    const stale: Segment[] = [];
    for (const { name, fileName } of names.values()) {
      const known = this.#byId.get(name.idHex);
      const segment = known ?? this.add(fileName, { own: false, scannedTo: 0, sizeBytes: 0, complete: false });
      if (segment.own) continue;
      segment.name = name;
      segment.fileName = fileName;
      if (!segment.complete) stale.push(segment);
    }
    const workers = Array.from({ length: Math.min(LOADS_AT_ONCE, stale.length) }, async () => {
      for (let segment = stale.pop(); segment; segment = stale.pop()) await this.#load(segment);
    });
    await Promise.all(workers);
  }

  async #load(segment: Segment): Promise<void> {
    try {
      await this.withFile(segment, async (file) => {
        const sealed = segment.name.kind === 'sealed';
        const { sizeBytes, kind } = await file.stat();
        if (kind !== 'file') return;
        const from = segment.scannedTo > 0 ? segment.scannedTo : await this.#readHeader(segment, file);
        const footer = sealed ? await Footer.read(file, { id: segment.id, sizeBytes }) : undefined;
        // An append begins when the one before it is done: what lies before a whole record is damage, also while the
        // segment is open.
        const grown = sizeBytes !== segment.sizeBytes;
        if (footer) await this.#loadFooter(segment, footer, from);
        else if (sealed || grown) await this.#loadHeads(segment, file, { from, sizeBytes });
        segment.sizeBytes = sizeBytes;
        segment.complete = sealed;
        if (sealed) this.unsaved.segments += 1;
      });
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') this.forgetIfRemoved(segment);
      else this.#noteUnreadable(error);
    }
  }

  /** Where its records begin. */
  async #readHeader(segment: Segment, file: DiskFile): Promise<number> {
    const header = await readSegmentHeader(file);
    // Not written yet, or damaged, which costs no records: they say themselves which segment they belong to.
    if (!header?.id.equals(segment.id)) return SEGMENT_HEADER_BYTES;
    segment.owner = header.owner;
    segment.createdAtMs = header.createdAtMs;
    return header.headerBytes;
  }

  async #loadFooter(segment: Segment, footer: Footer, from: number): Promise<void> {
    this.index.reserve(footer.records - segment.records);
    for await (const entries of footer.batches()) {
      const unknown = entries.filter((entry) => entry.offset >= from);
      this.#indexBatch(
        segment,
        unknown,
        unknown.reduce((end, entry) => Math.max(end, entry.offset + recordBytes(entry)), 0),
      );
    }
    segment.scannedTo = footer.offset;
  }

  async #loadHeads(segment: Segment, file: DiskFile, span: { from: number; sizeBytes: number }): Promise<void> {
    for await (const batch of scanBatches(file, { id: segment.id, ...span, resync: true })) {
      this.#indexBatch(segment, batch.entries, batch.end);
    }
  }

  #noteUnreadable(error: unknown): void {
    this.#metrics.add('seekfs_l2_read_failures_total');
    const code = systemErrorCode(error) ?? String(error);
    this.#log.log('warn', `cannot read the cache in ${this.directoryPath} (${code}): reading through`);
  }

  /** How the segment's writer calls itself, from its header. */
  async ownerOf(segment: Segment): Promise<string | undefined> {
    try {
      segment.owner ??= (await this.withFile(segment, readSegmentHeader))?.owner;
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') this.#noteUnreadable(error);
    }
    return segment.owner;
  }

  /**
   * Shows all records of an ended segment, some thousand at a time, as its footer or a scan of it has them.
   * @returns false where the segment is gone or cannot be read, perhaps after some of them
   */
  async eachBatch(segment: Segment, see: (entries: readonly RecordEntry[]) => MaybePromise<void>): Promise<boolean> {
    try {
      await this.withFile(segment, async (file) => {
        const { sizeBytes } = await file.stat();
        for await (const entries of recordBatches(file, { id: segment.id, sizeBytes })) await see(entries);
      });
      return true;
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === undefined) throw error;
      if (code !== 'ENOENT') this.#noteUnreadable(error);
      return false;
    }
  }

  /** Payload bytes of the namespace in all segments; 0 where namespaces are not counted. */
  namespaceBytes(ns: string): number {
    return this.#namespaceBytes?.get(ns) ?? 0;
  }

  #count(segment: Segment, entry: RecordEntry): void {
    const ns = decodeGroup(entry.group)?.ns;
    if (ns === undefined || !this.#namespaceBytes) return;
    segment.namespaces.set(ns, (segment.namespaces.get(ns) ?? 0) + entry.payloadBytes);
    this.#namespaceBytes.set(ns, this.namespaceBytes(ns) + entry.payloadBytes);
  }

  /** Everything before `end` is known then. */
  #indexBatch(segment: Segment, entries: readonly RecordEntry[], end: number): void {
    if (segment.gone) return;
    let known: { readonly group: Buffer; readonly hash: FileHash } | undefined;
    for (const entry of entries) {
      if (known?.group !== entry.group) known = { group: entry.group, hash: hashGroup(entry.group) };
      this.indexEntry(segment, entry, known.hash);
    }
    if (end > SEGMENT_HEADER_BYTES) segment.scannedTo = end;
  }

  /** Its name is gone: sealed and so renamed, which the next refresh sees, or removed, which makes its pages misses. */
  forgetIfRemoved(segment: Segment): void {
    if (segment.name.kind === 'sealed') this.forget(segment);
  }

  /** Drops the segment and its records from memory. Reads that go on keep their open file. */
  forget(segment: Segment, options?: { readonly keepIndexed: boolean }): void {
    if (segment.gone) return;
    segment.gone = true;
    for (const [ns, bytes] of segment.namespaces) this.#namespaceBytes?.set(ns, this.namespaceBytes(ns) - bytes);
    this.#byId.delete(segment.idHex);
    this.#segments[segment.number] = undefined;
    if (!options?.keepIndexed) this.index.removeSegments(new Set([segment.number]));
    this.#files.release(segment);
  }

  /**
   * Runs `use` with the segment's open file.
   * @throws system errors of opening it, and what `use` throws
   */
  withFile<T>(segment: Segment, use: (file: DiskFile) => Promise<T>): Promise<T> {
    return this.#files.with(segment, use);
  }

  /** The segment's file, where it is open, for use before anything else runs. */
  fileIfOpen(segment: Segment, nowMs: number): DiskFile | undefined {
    return this.#files.fileIfOpen(segment, nowMs);
  }

  async close(): Promise<void> {
    await this.#refreshing?.catch(() => undefined);
    await this.#files.close();
  }
}
