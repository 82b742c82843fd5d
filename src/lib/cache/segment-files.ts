// Open files of segments, for reading: a bounded number, closed when nobody has used them for a while, because a segment
// that another process removed gives its space back only when the last descriptor is closed. Never writes.
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { systemErrorCode } from '../base/errors.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';
import { formatSegmentName, type SegmentName } from '../segment/names.ts';

const FILES_MAX = 64;
const IDLE_MS = 5000;

/** What of a segment this file needs; `gone` segments are closed at once when their last user is done. */
export interface OpenableSegment {
  readonly number: number;
  readonly idHex: string;
  readonly name: SegmentName;
  readonly fileName: string;
  readonly gone: boolean;
}

interface OpenFile {
  readonly opening: Promise<DiskFile>;
  file: DiskFile | undefined;
  users: number;
  usedAtMs: number;
}

export class SegmentFiles {
  readonly #disk: Disk;
  readonly #directoryPath: string;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  /** By segment number. */
  readonly #files = new Map<number, OpenFile>();
  #watching = false;

  constructor(options: { disk: Disk; directoryPath: string; clock: Clock }) {
    this.#disk = options.disk;
    this.#directoryPath = options.directoryPath;
    this.#clock = options.clock;
  }

  /**
   * Runs `use` with the segment's open file.
   * @throws system errors of opening it, and what `use` throws
   */
  async with<T>(segment: OpenableSegment, use: (file: DiskFile) => Promise<T>): Promise<T> {
    const open = this.#borrow(segment);
    try {
      return await use(await open.opening);
    } finally {
      open.users -= 1;
      open.usedAtMs = this.#clock.monotonicMs();
      if (open.users === 0 && segment.gone) this.#close(segment.number, open);
    }
  }

  /** The file, where it is open, for use before anything else runs. */
  fileIfOpen(segment: OpenableSegment, nowMs: number): DiskFile | undefined {
    const open = this.#files.get(segment.number);
    if (open?.file) open.usedAtMs = nowMs;
    return open?.file;
  }

  /** The segment is gone: closes its file, now or after its last use. */
  release(segment: OpenableSegment): void {
    const open = this.#files.get(segment.number);
    if (open?.users === 0) this.#close(segment.number, open);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const files = [...this.#files.values()];
    this.#files.clear();
    await Promise.allSettled(files.map(async (open) => (await open.opening).close()));
  }

  #borrow(segment: OpenableSegment): OpenFile {
    const known = this.#files.get(segment.number);
    if (known) {
      known.users += 1;
      return known;
    }
    const open: OpenFile = { opening: this.#open(segment), file: undefined, users: 1, usedAtMs: 0 };
    open.opening.then(
      (file) => (open.file = file),
      () => this.#files.get(segment.number) === open && this.#files.delete(segment.number),
    );
    this.#files.set(segment.number, open);
    if (this.#files.size > FILES_MAX) this.#closeIdle(this.#files.size - FILES_MAX);
    if (!this.#watching) void this.#watch();
    return open;
  }

  /** Opens it by the name that is known, and where that is gone by the one that sealing gives. */
  async #open(segment: OpenableSegment): Promise<DiskFile> {
    try {
      return await this.#disk.open(join(this.#directoryPath, segment.fileName), 'read');
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === 'EMFILE' || code === 'ENFILE') this.#closeIdle(this.#files.size);
      if (code !== 'ENOENT' || segment.name.kind === 'sealed') throw error;
      const sealedName = formatSegmentName({ kind: 'sealed', idHex: segment.idHex });
      return this.#disk.open(join(this.#directoryPath, sealedName), 'read');
    }
  }

  /** Runs while any file is open. */
  async #watch(): Promise<void> {
    this.#watching = true;
    while (this.#files.size > 0 && !this.#closing.signal.aborted) {
      await this.#clock.sleep(IDLE_MS, this.#closing.signal).catch(() => undefined);
      this.#closeIdle(this.#files.size, this.#clock.monotonicMs() - IDLE_MS);
    }
    this.#watching = false;
  }

  /** Closes up to `count` files that nobody uses, the longest unused first. */
  #closeIdle(count: number, usedBeforeMs = Number.POSITIVE_INFINITY): void {
    const idle = [...this.#files].filter(([, open]) => open.users === 0 && open.usedAtMs <= usedBeforeMs);
    idle.sort(([, one], [, other]) => one.usedAtMs - other.usedAtMs);
    for (const [number, open] of idle.slice(0, count)) this.#close(number, open);
  }

  #close(number: number, open: OpenFile): void {
    if (this.#files.get(number) === open) this.#files.delete(number);
    void open.opening.then((file) => file.close()).catch(() => undefined);
  }
}
