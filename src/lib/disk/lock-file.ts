// A lock between processes that survives the death of its holder (Node has no flock). Used for the maintenance of L2 and
// for the directory store's compare-and-swap; knows nothing of either.
//
// In the lock's directory the highest `lock.<generation>` decides. It is made whole under another name and linked, so it
// is never seen half-written; a released lock, or one whose holder is dead, is taken over by creating generation + 1,
// which link(2) grants to one process only. Nobody unlinks the highest, and the GENERATIONS_KEPT below it stay as well:
// a process that slept between listing and linking finds, when it lists again, a higher generation than its own.
//
//   offset 0, 1 byte    H held, R released (rewritten in place: one byte, so never torn)
//   offset 1, 16 bytes  heartbeat, decimal, padded
//   then                JSON of the holder's ProcessIdentity
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { systemClock, type Clock } from '../base/clock.ts';
import { SeekfsError, systemErrorCode, wrapSystemError } from '../base/errors.ts';
import { modifiedAtMs, type Disk, type DiskFile } from './disk.ts';
import { listIfThere } from './if-there.ts';
import {
  parseProcessIdentity,
  sharesProcessNumbers,
  systemProcesses,
  type Processes,
  type ProcessIdentity,
} from './process-identity.ts';

const GENERATIONS_KEPT = 16;
const HEARTBEAT_BYTES = 16;
const RECORD_BYTES_MAX = 4096;
const HEARTBEAT_INTERVAL_MS = 1000;
/** A holder in another pid namespace whose heartbeat stood still for so long, as this process saw it, is dead. */
const HEARTBEAT_SILENCE_MS_MAX = 10_000;
/** Who waits so long gets the lock of any holder that is dead, also of one in another pid namespace. */
export const TAKEOVER_WAIT_MS = HEARTBEAT_SILENCE_MS_MAX + 5000;
const LEFTOVER_AGE_MS = 3_600_000;
const POLL_DELAY_MS = 2;
const POLL_DELAY_MS_MAX = 100;

interface LockRecord {
  readonly released: boolean;
  readonly heartbeat: string;
  readonly holder: ProcessIdentity | undefined;
}

export interface HeldLock {
  readonly generation: number;
  /** False once another process took the lock over: check before the step that must not happen twice. */
  stillHeld(): Promise<boolean>;
  /** Calling it twice is harmless. */
  release(): Promise<void>;
}

export interface LockFileOptions {
  readonly disk: Disk;
  /** A directory for this lock alone; made when it is missing. */
  readonly directory: string;
  readonly clock?: Clock | undefined;
  /** Tests stand in for another host or container with it. */
  readonly identity?: ProcessIdentity | undefined;
  readonly processes?: Processes | undefined;
}

function generationOf(name: string): number | undefined {
  const match = /^lock\.(\d{1,15})$/.exec(name);
  return match ? Number(match[1]) : undefined;
}

function sameProcess(a: ProcessIdentity, b: ProcessIdentity): boolean {
  return sharesProcessNumbers(a, b) && a.pid === b.pid && a.startTime === b.startTime;
}

function encodeRecord(holder: ProcessIdentity): Buffer {
  return Buffer.from(`H${'0'.repeat(HEARTBEAT_BYTES)}${JSON.stringify(holder)}`);
}

function parseRecord(text: string): LockRecord {
  let holder: ProcessIdentity | undefined;
  try {
    holder = parseProcessIdentity(JSON.parse(text.slice(1 + HEARTBEAT_BYTES)));
  } catch {
    holder = undefined;
  }
  return { released: text.startsWith('R'), heartbeat: text.slice(1, 1 + HEARTBEAT_BYTES), holder };
}

/**
 * Paths of the generations that this process holds. One that names this process and is not among them was given back on
 * a disk that refused to write so down.
 */
const heldHere = new WeakMap<Disk, Set<string>>();

export class LockFile {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #identity: ProcessIdentity | undefined;
  readonly #processes: Processes;
  /** The heartbeat of a holder that cannot be asked for, and since when it has not moved. */
  #seen: { readonly generation: number; readonly heartbeat: string; readonly sinceMs: number } | undefined;

  constructor(options: LockFileOptions) {
    this.#disk = options.disk;
    this.#directory = options.directory;
    this.#clock = options.clock ?? systemClock;
    this.#identity = options.identity;
    this.#processes = options.processes ?? systemProcesses;
  }

  /**
   * The lock, or undefined while another holder lives.
   * @throws access_denied, disk_full, unexpected for what the file system refuses
   */
  async tryAcquire(): Promise<HeldLock | undefined> {
    try {
      return await this.#tryAcquire();
    } catch (error) {
      throw wrapSystemError(error, `lock ${this.#directory}`);
    }
  }

  /**
   * Waits for the lock.
   * @throws locked after `waitMsMax`, naming the holder; interrupted; as `tryAcquire`
   */
  async acquire(options: { waitMsMax: number; signal?: AbortSignal | undefined }): Promise<HeldLock> {
    const startMs = this.#clock.monotonicMs();
    for (let delayMs = POLL_DELAY_MS; ; delayMs = Math.min(delayMs * 2, POLL_DELAY_MS_MAX)) {
      const held = await this.tryAcquire();
      if (held) return held;
      const waitedMs = this.#clock.monotonicMs() - startMs;
      if (waitedMs >= options.waitMsMax) {
        const holder = await this.holder();
        const who = holder ? `process ${holder.pid}` : 'another process';
        throw new SeekfsError(
          'locked',
          `${this.#directory} is locked by ${who}; waited ${Math.round(waitedMs)} ms, try again when it is done`,
          { details: { pid: holder?.pid ?? null } },
        );
      }
      await this.#clock.sleep(Math.random() * delayMs + 1, options.signal);
    }
  }

  /** Who holds the lock, dead or alive; undefined when it is free or its record cannot be read. */
  async holder(): Promise<ProcessIdentity | undefined> {
    const highest = (await this.#generations()).at(-1);
    if (highest === undefined) return undefined;
    const record = await this.#read(highest);
    return record && !record.released ? record.holder : undefined;
  }

  #path(generation: number): string {
    return join(this.#directory, `lock.${generation}`);
  }

  /** Ascending. */
  async #generations(): Promise<number[]> {
    const names = await listIfThere(this.#disk, this.#directory);
    return (names ?? []).flatMap((name) => generationOf(name) ?? []).sort((a, b) => a - b);
  }

  /** Undefined when the file is gone, which happens to generations far below the highest. */
  async #read(generation: number): Promise<LockRecord | undefined> {
    let file: DiskFile;
    try {
      file = await this.#disk.open(this.#path(generation), 'read');
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
    try {
      const buffer = Buffer.alloc(RECORD_BYTES_MAX);
      const length = await file.read([buffer], 0);
      return parseRecord(buffer.toString('utf8', 0, length));
    } catch (error) {
      // A directory of that name is nobody's lock, and no generation either: the next one is free.
      if (systemErrorCode(error) === 'EISDIR') return { released: true, heartbeat: '', holder: undefined };
      throw error;
    } finally {
      await file.close();
    }
  }

  async #isHeld(generation: number, record: LockRecord, self: ProcessIdentity): Promise<boolean> {
    if (record.released) return false;
    if (record.holder && sameProcess(self, record.holder) && !this.#heldPaths().has(this.#path(generation)))
      return false;
    if (record.holder && sharesProcessNumbers(self, record.holder)) return this.#processes.isRunning(record.holder);
    const nowMs = this.#clock.monotonicMs();
    if (this.#seen?.generation !== generation || this.#seen.heartbeat !== record.heartbeat) {
      this.#seen = { generation, heartbeat: record.heartbeat, sinceMs: nowMs };
    }
    return nowMs - this.#seen.sinceMs < HEARTBEAT_SILENCE_MS_MAX;
  }

  async #tryAcquire(): Promise<HeldLock | undefined> {
    const self = this.#identity ?? (await this.#processes.current());
    const generations = await this.#generations();
    const highest = generations.at(-1);
    if (highest !== undefined) {
      const record = await this.#read(highest);
      if (!record || (await this.#isHeld(highest, record, self))) return undefined;
    }
    const generation = (highest ?? 0) + 1;
    const file = await this.#create(generation, self);
    if (!file) return undefined;
    const held = this.#held(generation, file);
    try {
      if ((await this.#generations()).at(-1) === generation) {
        await this.#sweep(generation);
        return held;
      }
    } catch (error) {
      // This process lives on: unless it gives back what it got, nobody would ever get the lock.
      await held.release().catch(() => undefined);
      throw error;
    }
    await held.release();
    await this.#disk.remove(this.#path(generation)).catch(() => undefined);
    return undefined;
  }

  /** The open record of a generation that this process created; undefined when another was first. */
  async #create(generation: number, self: ProcessIdentity): Promise<DiskFile | undefined> {
    await this.#disk.makeDirectory(this.#directory);
    const temporary = join(this.#directory, `new.${randomBytes(8).toString('hex')}`);
    const file = await this.#disk.open(temporary, 'create');
    try {
      await file.write([encodeRecord(self)], 0);
      await this.#disk.link(temporary, this.#path(generation));
      return file;
    } catch (error) {
      await file.close();
      const code = systemErrorCode(error);
      // ENOENT: a holder whose clock was set forward by more than LEFTOVER_AGE_MS has swept it away.
      if (code === 'EEXIST' || code === 'ENOENT') return undefined;
      throw error;
    } finally {
      await this.#disk.remove(temporary).catch(() => undefined);
    }
  }

  /** Removes generations that decide nothing any more, and what processes left that died while they created one. */
  async #sweep(current: number): Promise<void> {
    for (const name of await this.#disk.list(this.#directory)) {
      const path = join(this.#directory, name);
      const generation = generationOf(name);
      const old =
        generation === undefined
          ? name.startsWith('new.') && (await this.#ageMs(path)) > LEFTOVER_AGE_MS
          : generation < current - GENERATIONS_KEPT;
      if (old) await this.#disk.remove(path).catch(() => undefined);
    }
  }

  async #ageMs(path: string): Promise<number> {
    const stat = await this.#disk.stat(path).catch(() => undefined);
    return stat ? this.#clock.nowMs() - modifiedAtMs(stat) : 0;
  }

  #heldPaths(): Set<string> {
    let paths = heldHere.get(this.#disk);
    if (!paths) heldHere.set(this.#disk, (paths = new Set()));
    return paths;
  }

  #held(generation: number, file: DiskFile): HeldLock {
    const paths = this.#heldPaths();
    paths.add(this.#path(generation));
    let beats = 0;
    let beating = Promise.resolve();
    const beat = async (): Promise<void> => {
      beats += 1;
      const text = String(beats).padStart(HEARTBEAT_BYTES, '0');
      await file.write([Buffer.from(text)], 1).catch(() => undefined);
    };
    const timer = setInterval(() => {
      beating = beating.then(beat);
    }, HEARTBEAT_INTERVAL_MS);
    timer.unref();
    let releasing: Promise<void> | undefined;
    const release = async (): Promise<void> => {
      clearInterval(timer);
      await beating;
      try {
        await file.write([Buffer.from('R')], 0);
      } finally {
        paths.delete(this.#path(generation));
        await file.close();
      }
    };
    return {
      generation,
      stillHeld: async () => (await this.#generations()).at(-1) === generation,
      release: () => (releasing ??= release()),
    };
  }
}
