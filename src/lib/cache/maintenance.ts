// What one process at a time does to the segments of all, under the maintenance lock: ends those of dead writers, evicts,
// compacts and merges. Nothing it does is wrong when a holder that slept through a takeover does it once more: pages are
// written again before a segment is removed, and removal twice is removal.
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { isSeekfsError, systemErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { MIB } from '../base/units.ts';
import type { Disk } from '../disk/disk.ts';
import type { LockFile } from '../disk/lock-file.ts';
import { sharesProcessNumbers, type Processes, type ProcessIdentity } from '../disk/process-identity.ts';
import { recordBytes, type RecordEntry } from '../segment/format.ts';
import { formatSegmentName } from '../segment/names.ts';
import { GRANULE_BYTES } from '../page/page.ts';
import type { CapacityGuard } from './capacity.ts';
import type { LogWriter } from './log-writer.ts';
import { decodeGroup, decodeItem, hashGroup, type FileKey, type FileName, type PageItem } from './page-key.ts';
import { bitsOf, recordsOf } from './pieces.ts';
import { planEviction, type SegmentView } from './policy/eviction.ts';
import type { Retention } from './policy/retention.ts';
import type { IndexedRecord } from './record-index.ts';
import type { Rewriter } from './rewriter.ts';
import type { Segment, SegmentSet } from './segment-set.ts';

/** Segments, oldest first, whose records are looked at for one eviction. */
const CANDIDATES_MAX = 16;
/** A segment of which less than this share is live is written again. */
const LIVE_SHARE_MIN = 0.5;
/** So many segments that are shorter than a quarter of the full size are merged. */
const SHORT_SEGMENTS_MAX = 8;
const SHORT_SHARE = 0.25;
const COMPACT_BYTES_PER_SEC = 256 * MIB;
const LOCK_WAIT_MS_MAX = 2000;
/** The open segment of a writer whom nobody here can ask for is taken to be abandoned after so long without a byte. */
const SILENT_WRITER_MS = 600_000;

export interface MaintenanceParts {
  readonly disk: Disk;
  readonly set: SegmentSet;
  readonly lock: LockFile;
  readonly processes: Processes;
  readonly capacity: CapacityGuard;
  /** For one run each, with room of their own. */
  readonly newWriter: () => LogWriter;
  readonly newRewriter: (writer: LogWriter) => Rewriter;
  readonly retention: Retention | undefined;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** A record that eviction may keep. */
interface LiveRecord {
  readonly bytes: number;
  readonly entry: RecordEntry;
  readonly record: IndexedRecord;
  readonly file: FileKey;
  readonly item: PageItem;
}

interface View extends SegmentView<LiveRecord> {
  readonly segment: Segment;
}

/** May pages of this file go before all others? */
export type IsDead = (file: FileName) => boolean;

export interface CleanResult {
  /** Segments removed and bytes that this gave back, what was written again taken off. */
  readonly removedSegments: number;
  readonly freedBytes: number;
  readonly rewrittenBytes: number;
  readonly droppedRecords: number;
}

export class Maintenance {
  readonly #parts: MaintenanceParts;
  #isDead: IsDead = () => false;
  #running: Promise<CleanResult | undefined> | undefined;

  constructor(parts: MaintenanceParts) {
    this.#parts = parts;
  }

  /** What later evictions take for dead. */
  knowDead(isDead: IsDead): void {
    this.#isDead = isDead;
  }

  /** Evicts until `bytes` can be reserved by a writer, or nothing more can go; waits a little for who does it already. */
  async makeRoom(bytes: number): Promise<void> {
    await this.#alone(
      (run) => run.evict(async () => (await this.#parts.capacity.roomBytes('insert')) >= bytes),
      LOCK_WAIT_MS_MAX,
    );
  }

  /**
   * Drops dead pages, brings the cache within its capacity, compacts and merges.
   * @returns undefined when another process holds the lock
   */
  clean(): Promise<CleanResult | undefined> {
    return this.#alone(async (run) => {
      await run.compact('all');
      await run.evict(async () => (await this.#parts.capacity.roomBytes('insert')) >= 0);
    });
  }

  /** As `clean`, only when there are many short segments; the cheap thing to do now and then. */
  async mergeWhenMany(): Promise<void> {
    if (this.#shortSegments().length >= SHORT_SEGMENTS_MAX) await this.#alone((run) => run.compact('short'));
  }

  #shortSegments(): Segment[] {
    const shortBytes = this.#parts.capacity.segmentBytes * SHORT_SHARE;
    return [...this.#parts.set].filter((segment) => segment.complete && segment.sizeBytes < shortBytes);
  }

  /** One run at a time in this process, and with the lock in all of them. */
  async #alone(work: (run: Run) => Promise<void>, waitMsMax = 0): Promise<CleanResult | undefined> {
    while (this.#running) await this.#running.catch(() => undefined);
    this.#running = this.#locked(work, waitMsMax).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #locked(work: (run: Run) => Promise<void>, waitMsMax: number): Promise<CleanResult | undefined> {
    const { lock, set, newWriter, newRewriter } = this.#parts;
    const held = await lock.acquire({ waitMsMax }).catch((error: unknown) => {
      if (isSeekfsError(error, 'locked')) return undefined;
      throw error;
    });
    if (!held) return undefined;
    const writer = newWriter();
    const run = new Run({
      ...this.#parts,
      writer,
      rewriter: newRewriter(writer),
      isDead: this.#isDead,
      stillHeld: () => held.stillHeld(),
    });
    try {
      await set.refreshAnew();
      await run.endAbandoned();
      await work(run);
      await writer.seal({ durable: true });
      return run.result();
    } catch (error) {
      await writer.abandon();
      throw error;
    } finally {
      await held.release().catch(() => undefined);
    }
  }
}

interface RunParts extends MaintenanceParts {
  readonly writer: LogWriter;
  readonly rewriter: Rewriter;
  readonly isDead: IsDead;
  readonly stillHeld: () => Promise<boolean>;
}

/** One run under the lock. */
class Run {
  readonly #parts: RunParts;
  #removedSegments = 0;
  #freedBytes = 0;
  #rewrittenBytes = 0;
  #droppedRecords = 0;
  /** Numbers of segments with copies of records that were dropped: they may never have been synced. */
  readonly #reliedOn = new Set<number>();

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  result(): CleanResult {
    return {
      removedSegments: this.#removedSegments,
      freedBytes: this.#freedBytes - this.#rewrittenBytes,
      rewrittenBytes: this.#rewrittenBytes,
      droppedRecords: this.#droppedRecords,
    };
  }

  /** Gives the open segments of dead writers their final name, which frees what they had reserved. */
  async endAbandoned(): Promise<void> {
    const { set, disk } = this.#parts;
    let ended = false;
    for (const segment of set) {
      if (segment.own || segment.name.kind === 'sealed' || !(await this.#isAbandoned(segment))) continue;
      const from = join(set.directoryPath, segment.fileName);
      const to = join(set.directoryPath, formatSegmentName({ kind: 'sealed', idHex: segment.idHex }));
      await disk.rename(from, to).catch((error: unknown) => {
        if (systemErrorCode(error) !== 'ENOENT') throw error;
      });
      ended = true;
    }
    if (ended) await set.refreshAnew();
  }

  async #isAbandoned(segment: Segment): Promise<boolean> {
    const { disk, set, clock, processes } = this.#parts;
    const self = await processes.current();
    const owner = parseOwner(segment.owner);
    if (owner && sharesProcessNumbers(self, owner)) return !(await processes.isRunning(owner));
    const stat = await disk.stat(join(set.directoryPath, segment.fileName)).catch(() => undefined);
    return stat !== undefined && clock.nowMs() - Number(stat.mtimeNs / 1_000_000n) > SILENT_WRITER_MS;
  }

  /** Removes segments, best first, until `enough`; what is hot in them is written again. */
  async evict(enough: () => Promise<boolean>): Promise<void> {
    const scoreOf = ({ file, item }: LiveRecord): number =>
      this.#parts.retention?.score({ ...file, pageId: item.pageId }) ?? 0;
    for (let oldest = this.#oldest(); oldest.length > 0 && !(await enough()); oldest = this.#oldest()) {
      const views: View[] = [];
      for (const segment of oldest.slice(0, CANDIDATES_MAX)) {
        const view = await this.#view(segment);
        if (view) views.push(view);
      }
      // First what is dead, as long as that pays for writing the rest again.
      const ofDead = planEviction<LiveRecord, View>(views, () => 1);
      const plan =
        ofDead?.survivors.length === ofDead?.victim.records.length
          ? ofDead
          : planEviction<LiveRecord, View>(views, scoreOf);
      if (!plan) return;
      const before = this.#rewrittenBytes;
      if ((await this.#remove(plan.victim, plan.survivors, 'evict')) !== 'removed') return;
      // Damage and full disks aside this cannot be; it keeps a defect from turning into an endless loop.
      if (this.#rewrittenBytes - before >= plan.victim.fileBytes) return;
    }
  }

  /** Writes again what is live in segments that are mostly dead, and in short ones when there are many. */
  async compact(which: 'all' | 'short'): Promise<void> {
    const { capacity } = this.#parts;
    const all = this.#oldest();
    const short = all.filter((segment) => segment.sizeBytes < capacity.segmentBytes * SHORT_SHARE);
    const merged = new Set(short.length >= SHORT_SEGMENTS_MAX ? short : []);
    for (const segment of which === 'all' ? all : merged) {
      const view = await this.#view(segment);
      if (!view) continue;
      const liveBytes = view.records.reduce((sum, { bytes }) => sum + bytes, 0);
      const sparse = liveBytes < segment.sizeBytes * LIVE_SHARE_MIN && segment.sizeBytes > liveBytes + 4096;
      if (!sparse && !merged.has(segment)) continue;
      if ((await this.#remove(view, view.records, 'compact')) === 'stop') return;
    }
  }

  #oldest(): Segment[] {
    const ended = [...this.#parts.set].filter((segment) => segment.complete && !segment.own);
    return ended.sort((a, b) => a.createdAtMs - b.createdAtMs);
  }

  /** Its live records; those that others hold as well, or that are of dead files, leave the index here. */
  async #view(segment: Segment): Promise<View | undefined> {
    const { set, isDead } = this.#parts;
    const files = new Map<Buffer, FileKey | undefined>();
    const records: LiveRecord[] = [];
    const entries = await set.entriesOf(segment);
    if (!entries) return undefined;
    for (const entry of entries) {
      if (!files.has(entry.group)) files.set(entry.group, fileKeyOf(entry.group));
      const file = files.get(entry.group);
      const item = decodeItem(entry.item, entry.payloadBytes);
      if (!file || !item) continue;
      const all = recordsOf(set.index, file, item.pageId);
      const record = all.find((one) => one.segment === segment.number && one.offset === entry.offset);
      if (!record) continue;
      const others = all.filter((one) => one !== record);
      const bits = bitsOf(others, Math.ceil(item.len / GRANULE_BYTES));
      const twice = [...bits.missingRuns(record.firstGranule, record.granules)].length === 0;
      if (twice || isDead(file)) {
        if (twice) for (const other of others) this.#reliedOn.add(other.segment);
        set.index.removeRecord(record);
        this.#droppedRecords += 1;
        continue;
      }
      records.push({ bytes: recordBytes(entry), entry, record, file, item });
    }
    return { segment, fileBytes: segment.sizeBytes, records };
  }

  /**
   * Writes the survivors again, makes them durable, and removes the segment. Compaction keeps a segment that it cannot
   * read now; eviction does not, or one bad sector would end all evictions.
   */
  async #remove(
    view: View,
    survivors: readonly LiveRecord[],
    why: 'evict' | 'compact',
  ): Promise<'removed' | 'kept' | 'stop'> {
    const { set, disk, rewriter, writer, retention, metrics, stillHeld, clock } = this.#parts;
    const kept = new Set<LiveRecord>();
    for (const live of survivors) {
      // Joined with another record of its page that was written again before.
      const indexed = recordsOf(set.index, live.file, live.item.pageId).some(
        (one) => one.segment === live.record.segment && one.offset === live.record.offset,
      );
      const rewritten = indexed ? await rewriter.rewrite(live.record, live.file, live.item) : 'written';
      if (rewritten === 'written') kept.add(live);
      else if (rewritten === 'no-room' && why === 'compact') return 'stop';
      else if (rewritten === 'failed' && why === 'compact') return 'kept';
      if (!indexed || rewritten !== 'written') continue;
      this.#rewrittenBytes += live.bytes;
      // Somebody waits for an eviction; compaction has time, and leaves the disk to readers.
      if (why === 'compact') await clock.sleep((live.bytes / COMPACT_BYTES_PER_SEC) * 1000);
    }
    await writer.sync();
    await this.#syncReliedOn();
    if (!(await stillHeld())) return 'stop';
    await disk.remove(join(set.directoryPath, view.segment.fileName)).catch((error: unknown) => {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    });
    for (const live of view.records) {
      if (kept.has(live)) continue;
      this.#droppedRecords += 1;
      retention?.onDrop({ ...live.file, pageId: live.item.pageId });
    }
    set.forget(view.segment);
    this.#removedSegments += 1;
    this.#freedBytes += view.fileBytes;
    metrics.add('seekfs_l2_evicted_bytes_total', view.fileBytes);
    return 'removed';
  }

  async #syncReliedOn(): Promise<void> {
    if (this.#reliedOn.size === 0) return;
    const { set, disk } = this.#parts;
    for (const number of this.#reliedOn) {
      const segment = set.get(number);
      if (segment) await set.withFile(segment, (file) => file.sync());
    }
    await disk.syncDirectory(set.directoryPath);
    this.#reliedOn.clear();
  }
}

function fileKeyOf(group: Buffer): FileKey | undefined {
  const name = decodeGroup(group);
  return name && { ...name, ...hashGroup(group), group };
}

/** The owner text of a segment header is the JSON of its writer's identity. */
function parseOwner(owner: string | undefined): ProcessIdentity | undefined {
  try {
    const parsed = JSON.parse(owner ?? '') as Partial<ProcessIdentity> | null;
    const { bootId, pidNamespace, pid, startTime } = parsed ?? {};
    if (typeof bootId !== 'string' || typeof pidNamespace !== 'string' || !Number.isSafeInteger(pid)) return undefined;
    return { bootId, pidNamespace, pid: pid!, startTime: typeof startTime === 'string' ? startTime : '' };
  } catch {
    return undefined;
  }
}
