// Appends records to segments of this process, one segment at a time: creates within the bounds, indexes what it wrote,
// rolls when full. The write queue has one, and each run of maintenance that writes records again.
import type { Clock } from '../base/clock.ts';
import type { Cell } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import type { Disk } from '../disk/disk.ts';
import { SEGMENT_ID_BYTES, type NewRecord } from '../segment/format.ts';
import { recordRoomBytes, SegmentWriter, type Append } from '../segment/writer.ts';
import type { CapacityGuard, Purpose } from './capacity.ts';
import { DirectPace } from './direct-pace.ts';
import type { FileKey } from './page-key.ts';
import type { Segment, SegmentSet } from './segment-set.ts';

const ATTEMPTS_MAX = 6;
/**
 * A segment that got nothing for so long is ended and another one begun: in another container it may already count as
 * abandoned (SILENT_WRITER_MS of cleaning, which must be longer), and what is appended then is not seen.
 */
export const IDLE_MS_MAX = 300_000;

export interface LogWriterParts {
  readonly disk: Disk;
  readonly set: SegmentSet;
  readonly capacity: CapacityGuard;
  readonly random: Random;
  readonly clock: Clock;
  /** Who writes, for the segment header. */
  readonly owner: string;
  readonly purpose: Purpose;
  /** Past the page cache, where that is worth it. */
  readonly readsOnce?: boolean | undefined;
  /** Counts what was written, so that a disk that has stopped can be told from one that is slow. */
  readonly progress: Cell;
  readonly onNewSegment?: (() => void) | undefined;
}

/** A record of a page of this file. */
export interface PageAppend extends Append {
  readonly key: FileKey;
}

interface OpenSegment {
  readonly writer: SegmentWriter;
  readonly segment: Segment;
}

export class LogWriter {
  readonly #parts: LogWriterParts;
  #open: OpenSegment | undefined;
  #sealing: Promise<void> | undefined;
  #appendedAtMs = 0;
  readonly #pace: DirectPace;

  constructor(parts: LogWriterParts) {
    this.#parts = parts;
    this.#pace = new DirectPace(parts.clock);
  }

  /**
   * Appends the first of the records, as many as the open segment takes, in one write, and indexes them; one call at a time.
   * How many those were: none where there is no room within the bounds. `direct`: past the page cache, where the disk keeps up.
   * @throws system errors of the disk; call `abandon` then
   */
  async append(
    appends: readonly PageAppend[],
    { direct: wantsDirect = this.#parts.readsOnce === true }: { readonly direct?: boolean | undefined } = {},
  ): Promise<number> {
    const open = await this.#openFor(appends[0]!.record);
    if (!open) return 0;
    const { writer, segment } = open;
    const { clock, set, progress } = this.#parts;
    const fitting = leadingThatFit(appends, writer.roomBytes);
    const payloadBytes = fitting.reduce((sum, { record }) => sum + record.payloadBytes, 0);
    const direct = wantsDirect && this.#pace.allows(payloadBytes);
    const beganMs = clock.monotonicMs();
    const entries = await writer.append(fitting, { direct });
    this.#appendedAtMs = clock.monotonicMs();
    if (direct) this.#pace.wrote(payloadBytes, this.#appendedAtMs - beganMs);
    segment.sizeBytes = segment.scannedTo = writer.position;
    for (const [index, entry] of entries.entries()) set.indexEntry(segment, entry, fitting[index]!.key);
    progress.value += 1;
    return fitting.length;
  }

  /** The open segment if the record fits, else another one; undefined where there is no room for one. */
  async #openFor(record: NewRecord): Promise<OpenSegment | undefined> {
    // Somebody emptied the directory under us: what is written there now nobody would find.
    if (this.#open?.segment.gone) await this.abandon();
    const idleMs = this.#parts.clock.monotonicMs() - this.#appendedAtMs;
    if (this.#open && idleMs > IDLE_MS_MAX) await this.seal({ durable: false }).catch(() => undefined);
    if (this.#open && !this.#open.writer.fits(record, record.payloadBytes)) await this.#roll();
    // Who reserved at the same moment as others withdraws; whoever comes back first gets the room.
    for (let attempt = 0; !this.#open && attempt < ATTEMPTS_MAX; attempt += 1) {
      const { random, clock } = this.#parts;
      if (attempt > 0) await clock.sleep(random.unit() * 10 * 2 ** attempt);
      const created = await this.#create(record);
      if (created === 'no-room') return undefined;
      if (created === 'withdrawn') continue;
      this.#open = created;
      this.#parts.onNewSegment?.();
    }
    return this.#open;
  }

  /** What the open segment still takes. */
  get openRoomBytes(): number {
    return this.#open?.writer.roomBytes ?? 0;
  }

  /** Seals behind the back of the next appends: syncing a whole segment takes its time. One at a time. */
  async #roll(): Promise<void> {
    await this.settle();
    const open = this.#open;
    this.#open = undefined;
    this.#sealing = this.#seal(open, { durable: true });
    this.#sealing.catch(() => undefined);
  }

  /** Resolves when the segments that are full are sealed. @throws system errors of the disk */
  async settle(): Promise<void> {
    const sealing = this.#sealing;
    this.#sealing = undefined;
    await sealing;
  }

  async #create(record: NewRecord): Promise<OpenSegment | 'no-room' | 'withdrawn'> {
    const { disk, set, capacity, random, clock, owner, purpose } = this.#parts;
    const reservedBytes = await capacity.reserve(record, purpose);
    if (reservedBytes === undefined) return 'no-room';
    // Their order is what eviction goes by: a clock that was set back must not make the youngest the oldest.
    const nowMs = Math.max(clock.nowMs(), Math.min(set.newestAtMs + 1, Number.MAX_SAFE_INTEGER));
    const writer = await SegmentWriter.create({
      disk,
      directoryPath: set.directoryPath,
      id: Buffer.from(random.bytes(SEGMENT_ID_BYTES)),
      reservedBytes,
      owner,
      nowMs,
    });
    const sizeBytes = writer.position;
    const segment = set.add(writer.openName, { own: true, scannedTo: sizeBytes, sizeBytes, complete: false });
    segment.createdAtMs = nowMs;
    try {
      if (await capacity.holds(purpose)) return { writer, segment };
    } catch (error) {
      await writer.abandon();
      set.forget(segment);
      throw error;
    }
    await writer.abandon();
    set.forget(segment);
    return 'withdrawn';
  }

  /** Makes durable what was appended. @throws system errors of the disk */
  async sync(): Promise<void> {
    await this.settle();
    await this.#parts.capacity.directoryLasts();
    await this.#open?.writer.sync();
  }

  /**
   * Ends the open segment, if there is one; the next record begins another.
   * @throws system errors of the disk; the segment has ended then too
   */
  async seal(options: { readonly durable: boolean }): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    try {
      await this.settle();
    } finally {
      await this.#seal(open, options);
    }
  }

  async #seal(open: OpenSegment | undefined, options: { readonly durable: boolean }): Promise<void> {
    if (!open) return;
    const { writer, segment } = open;
    if (writer.records === 0) {
      await writer.abandon();
      this.#parts.set.forget(segment);
      return;
    }
    let sealed: { readonly sizeBytes: number } | undefined;
    try {
      if (options.durable) await this.#parts.capacity.directoryLasts();
      sealed = await writer.seal(options);
    } finally {
      this.#parts.set.disown(segment, sealed);
    }
  }

  /** Ends the open segment after an error; what was appended before stays readable. */
  async abandon(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await this.settle().catch(() => undefined);
    if (!open) return;
    const { writer, segment } = open;
    await writer.abandon();
    this.#parts.set.disown(segment, undefined);
  }
}

function leadingThatFit(appends: readonly PageAppend[], roomBytes: number): readonly PageAppend[] {
  let leftBytes = roomBytes;
  const tooMuch = appends.findIndex(({ record }) => {
    leftBytes -= recordRoomBytes(record, record.payloadBytes);
    return leftBytes < 0;
  });
  return tooMuch < 0 ? appends : appends.slice(0, tooMuch);
}
