// The one writer of this process's segments: a bounded queue of verified runs, written behind the readers' backs. Owns
// rolling and sealing, and what happens when the disk refuses: it declines for a while, warns once, and tries again.
import { systemErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import type { Disk } from '../disk/disk.ts';
import { CHECK_BLOCK_BYTES, GRANULE_BYTES, granuleCount } from '../page/page.ts';
import type { VerifiedRun } from '../page/verified.ts';
import { SEGMENT_ID_BYTES, type NewRecord } from '../segment/format.ts';
import { SegmentWriter } from '../segment/writer.ts';
import type { CapacityGuard } from './capacity.ts';
import { GranuleBits } from './granule-bits.ts';
import { encodeItem, itemOf, PAGE_RECORD_KIND, type FileKey, type FileKeys } from './page-key.ts';
import type { Segment, SegmentSet } from './segment-set.ts';

const PAUSE_MS_MIN = 500;
const PAUSE_MS_MAX = 30_000;

export interface WriteQueueParts {
  readonly disk: Disk;
  readonly set: SegmentSet;
  readonly keys: FileKeys;
  readonly capacity: CapacityGuard;
  readonly random: Random;
  readonly clock: { nowMs(): number; monotonicMs(): number };
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Who writes, for the segment header. */
  readonly owner: string;
  /** Bound of the bytes that wait; one run is always taken. */
  readonly queueBytesMax: number;
}

interface Offered {
  readonly run: VerifiedRun;
  readonly onWritten: (() => void) | undefined;
}

interface OpenWriter {
  readonly writer: SegmentWriter;
  readonly segment: Segment;
}

export class WriteQueue {
  readonly #parts: WriteQueueParts;
  readonly #runs: Offered[] = [];
  #queuedBytes = 0;
  #working: Promise<void> | undefined;
  #open: OpenWriter | undefined;
  #closed = false;
  #pauseMs = 0;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(parts: WriteQueueParts) {
    this.#parts = parts;
  }

  /** Takes the run, retaining it until it is written or given up and calling `onWritten` then, or declines it. */
  offer(run: VerifiedRun, onWritten?: () => void): boolean {
    const bytes = run.bytes;
    const { clock, metrics, queueBytesMax } = this.#parts;
    const full = this.#queuedBytes > 0 && this.#queuedBytes + bytes > queueBytesMax;
    if (this.#closed || full || clock.monotonicMs() < this.#pausedUntilMs) {
      metrics.add('seekfs_l2_declined_total');
      return false;
    }
    this.#runs.push({ run: run.retain(), onWritten });
    this.#queuedBytes += bytes;
    this.#working ??= this.#work();
    return true;
  }

  /** Resolves when what was offered so far is written, or was given up. */
  async drain(): Promise<void> {
    while (this.#working) await this.#working;
  }

  /** Drains, and seals the segment that is open. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.drain();
    try {
      await this.#roll({ durable: false });
    } catch (error) {
      this.#failed(error);
    }
  }

  async #work(): Promise<void> {
    // In a later turn, so that `offer` returns before anything is done.
    await Promise.resolve();
    for (let next = this.#runs.shift(); next; next = this.#runs.shift()) {
      const { run, onWritten } = next;
      const bytes = run.bytes;
      try {
        if (this.#parts.clock.monotonicMs() >= this.#pausedUntilMs) await this.#write(run);
        else this.#parts.metrics.add('seekfs_l2_declined_total');
      } catch (error) {
        await this.#abandon();
        this.#failed(error);
      } finally {
        run.release();
        this.#queuedBytes -= bytes;
        onWritten?.();
      }
    }
    this.#working = undefined;
  }

  /** Writes the granules of the run that are not there yet, as one record for each stretch of them. */
  async #write(run: VerifiedRun): Promise<void> {
    const { set, keys, metrics } = this.#parts;
    const { page, span } = run;
    const key = keys.of(page);
    const held = new GranuleBits(granuleCount(page));
    const { index } = set;
    for (let slot = index.find(key, page.pageId); slot >= 0; slot = index.findNext(slot, key, page.pageId)) {
      const record = index.at(slot);
      held.add(record.firstGranule, record.granules);
    }
    for (const stretch of held.missingRuns(span.first, span.count)) {
      const at = stretch.first - span.first;
      const payload = run.slabs.slice(at, at + stretch.count).map((slab) => slab.bytes);
      const payloadBytes = payload.reduce((sum, bytes) => sum + bytes.length, 0);
      const firstBlock = at * (GRANULE_BYTES / CHECK_BLOCK_BYTES);
      const written = await this.append(key, payload, {
        kind: PAGE_RECORD_KIND,
        group: key.group,
        item: encodeItem(itemOf(page, stretch.first)),
        payloadBytes,
        writtenAtMs: this.#parts.clock.nowMs(),
        blockCrcs: run.blockCrcs.subarray(firstBlock, firstBlock + Math.ceil(payloadBytes / CHECK_BLOCK_BYTES)),
      });
      if (!written) {
        metrics.add('seekfs_l2_declined_total');
        return;
      }
      metrics.add('seekfs_l2_written_bytes_total', payloadBytes);
    }
  }

  /** Appends one record; false where there is no room for it within the bounds. */
  async append(key: FileKey, payload: readonly Uint8Array[], record: NewRecord): Promise<boolean> {
    if (this.#open && !this.#open.writer.fits(record, record.payloadBytes)) await this.#roll({ durable: true });
    this.#open ??= await this.#create(record);
    if (!this.#open) {
      this.#pause();
      return false;
    }
    const { writer, segment } = this.#open;
    const entry = await writer.append(record, payload);
    segment.sizeBytes = segment.scannedTo = writer.position;
    this.#parts.set.indexEntry(segment, entry, key);
    if (this.#pauseMs > 0) {
      this.#pauseMs = 0;
      this.#parts.log.log('info', `the cache in ${this.#parts.set.directoryPath} takes pages again`);
    }
    return true;
  }

  async #create(record: NewRecord): Promise<OpenWriter | undefined> {
    const { disk, set, capacity, random, clock, owner } = this.#parts;
    const reservedBytes = await capacity.reserve(record);
    if (reservedBytes === undefined) return undefined;
    const writer = await SegmentWriter.create({
      disk,
      directoryPath: set.directoryPath,
      id: Buffer.from(random.bytes(SEGMENT_ID_BYTES)),
      reservedBytes,
      owner,
      nowMs: clock.nowMs(),
    });
    const sizeBytes = writer.position;
    const segment = set.add(writer.openName, { own: true, scannedTo: sizeBytes, sizeBytes, complete: false });
    try {
      if (await capacity.holds()) return { writer, segment };
    } catch (error) {
      await writer.abandon();
      set.forget(segment);
      throw error;
    }
    // Others reserved at the same moment; whoever comes back first after a pause gets the room.
    await writer.abandon();
    set.forget(segment);
    return undefined;
  }

  async #roll(options: { durable: boolean }): Promise<void> {
    if (!this.#open) return;
    const { writer, segment } = this.#open;
    this.#open = undefined;
    if (writer.entries.length === 0) {
      await writer.abandon();
      this.#parts.set.forget(segment);
      return;
    }
    let sealed: { readonly sizeBytes: number } | undefined;
    try {
      sealed = await writer.seal(options);
    } finally {
      this.#parts.set.disown(segment, sealed);
    }
  }

  async #abandon(): Promise<void> {
    if (!this.#open) return;
    const { writer, segment } = this.#open;
    this.#open = undefined;
    await writer.abandon();
    this.#parts.set.disown(segment, undefined);
  }

  #failed(error: unknown): void {
    const { metrics, log, set } = this.#parts;
    metrics.add('seekfs_l2_write_failures_total');
    if (this.#pauseMs === 0) {
      const reason = systemErrorCode(error) ?? String(error);
      log.log('warn', `cannot write to the cache in ${set.directoryPath} (${reason}): reading through`);
    }
    this.#pause();
  }

  #pause(): void {
    this.#pauseMs = Math.min(PAUSE_MS_MAX, Math.max(PAUSE_MS_MIN, this.#pauseMs * 2));
    this.#pausedUntilMs = this.#parts.clock.monotonicMs() + this.#pauseMs;
  }
}
