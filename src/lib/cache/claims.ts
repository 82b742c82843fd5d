// Claims: which process of the host fetches what, so that a page that several of them miss costs one GET. Files in a
// directory beside the segments; used by the fetcher. Nothing depends on them for right bytes: a claim that fails or is
// lost costs a second GET, never an error.
//
//   owners/<id>       one a process, made at its first claim: JSON of its ProcessIdentity. Written again as a heartbeat
//                     while it holds claims.
//   <name>.<g>        a claim: a hard link to its owner's file, so that taking one is a single atomic call and every
//                     claim shows its owner's identity and heartbeat. g counts the owners that were given up: who finds
//                     the owner of g dead or stuck links g + 1, which link(2) grants to one process only.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { systemClock, type Clock } from '../base/clock.ts';
import { systemErrorCode, throwIfAborted } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { modifiedAtMs, type Disk, type DiskFile } from '../disk/disk.ts';
import {
  currentProcess,
  isRunning,
  parseProcessIdentity,
  sharesProcessNumbers,
  type ProcessIdentity,
} from '../disk/process-identity.ts';

const OWNERS_FOLDER = 'owners';
const OWNER_BYTES_MAX = 4096;
const HEARTBEAT_INTERVAL_MS = 500;
/** An owner whose heartbeat stood still for so long is stuck, or stopped, or in a container that is gone. */
const SILENCE_MS_MAX = 3000;
/** However alive its owner is, nobody waits longer for a claim: the store may just be slow for that process. */
const WAIT_MS_MAX = 30_000;
const POLL_DELAY_MS = 2;
const POLL_DELAY_MS_MAX = 25;
const LIVENESS_INTERVAL_MS = 200;
const GENERATIONS_MAX = 8;
/** Claims that are released within so long are removed together: for each alone a thread of the pool would have to wake up. */
const RELEASE_DELAY_MS = 5;
const MTIME_GRAIN_MS = 100;
/** Longer than anybody waits. */
const LEFTOVER_AGE_MS = 600_000;
/** Of owners whom nobody here can ask about; one that lives after all registers anew. */
const FOREIGN_LEFTOVER_AGE_MS = 24 * 3_600_000;

/** `foreign`: another process has it; wait for generation `generation`, then look at the cache again. */
export type ClaimAnswer =
  /** Calling `release` twice is harmless. */
  { readonly kind: 'taken'; readonly release: () => void } | { readonly kind: 'foreign'; readonly generation: number };

export interface ClaimsOptions {
  readonly disk: Disk;
  /** A directory for claims alone; made when it is missing. */
  readonly directoryPath: string;
  readonly log: Logger;
  readonly clock?: Clock | undefined;
  /** Tests stand in for another host or container with it. */
  readonly identity?: ProcessIdentity | undefined;
  /** Asked about owners whose process numbers compare with ours. */
  readonly isRunning?: ((identity: ProcessIdentity) => Promise<boolean>) | undefined;
  readonly waitMsMax?: number | undefined;
  readonly silenceMsMax?: number | undefined;
}

interface HeldClaim {
  readonly name: string;
  readonly generation: number;
}

interface Owner {
  readonly path: string;
  readonly file: DiskFile;
  readonly bytes: Buffer;
}

const NO_CLAIM: ClaimAnswer = { kind: 'taken', release: () => undefined };

export class Claims {
  readonly #options: ClaimsOptions;
  readonly #clock: Clock;
  #owner: Promise<Owner | undefined> | undefined;
  #held = 0;
  /** Still on disk. */
  readonly #released: HeldClaim[] = [];
  #removing: Promise<void> | undefined;
  readonly #closing = new AbortController();
  #beat: NodeJS.Timeout | undefined;
  #beating: Promise<void> = Promise.resolve();
  #broken = false;
  #ownersMtimeNs = -1n;
  #alone = false;

  constructor(options: ClaimsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Claims whatever `name` names, unless another process has it. Where claims do not work (a read-only directory, no
   * hard links) everything is granted.
   * @param name one that a file may have
   * @param from the generation to begin with: one more than that of an owner that `wait` gave up
   */
  take(name: string, from = 0): Promise<ClaimAnswer> {
    return this.#take(name, from, { mayRegister: true });
  }

  async #take(name: string, from: number, { mayRegister }: { mayRegister: boolean }): Promise<ClaimAnswer> {
    if (this.#broken || from >= GENERATIONS_MAX) return NO_CLAIM;
    try {
      const registered = (this.#owner ??= this.#register());
      const owner = await registered;
      if (!owner) return NO_CLAIM;
      const path = this.#path(name, from);
      try {
        await this.#options.disk.link(owner.path, path);
      } catch (error) {
        const code = systemErrorCode(error);
        if (code === 'EEXIST') return { kind: 'foreign', generation: from };
        if (code !== 'ENOENT' || !mayRegister) throw error;
        // Another container took this process for one that is long gone, or somebody emptied the directory.
        if (this.#owner === registered) this.#owner = this.#registerAnew(owner);
        return await this.#take(name, from, { mayRegister: false });
      }
      this.#held += 1;
      this.#beat ??= setInterval(() => this.#heartbeat(owner), HEARTBEAT_INTERVAL_MS).unref();
      return { kind: 'taken', release: this.#releaser({ name, generation: from }) };
    } catch (error) {
      this.#giveUp(error);
      return NO_CLAIM;
    }
  }

  /** Does anybody have it just now? For claims that exclude each other under different names. */
  async isTaken(name: string): Promise<boolean> {
    return !this.#broken && (await this.#mtime(this.#path(name, 0))) !== undefined;
  }

  /**
   * Waits until the claim is gone (`released`), or its owner is dead or stuck, or it took too long (`given-up`).
   * @throws interrupted
   */
  async wait(name: string, generation: number, signal: AbortSignal): Promise<'released' | 'given-up'> {
    const path = this.#path(name, generation);
    const begunMs = this.#clock.monotonicMs();
    const holder = await this.#readOwner(path);
    let heardMs = begunMs;
    let askedMs = Number.NEGATIVE_INFINITY;
    let heartbeat: bigint | undefined;
    for (let delayMs = POLL_DELAY_MS; ; delayMs = Math.min(delayMs * 1.5, POLL_DELAY_MS_MAX)) {
      throwIfAborted(signal);
      const mtime = await this.#mtime(path);
      if (mtime === undefined) return 'released';
      const nowMs = this.#clock.monotonicMs();
      if (mtime !== heartbeat) heardMs = nowMs;
      heartbeat = mtime;
      if (nowMs - heardMs >= (this.#options.silenceMsMax ?? SILENCE_MS_MAX)) return 'given-up';
      if (nowMs - begunMs >= (this.#options.waitMsMax ?? WAIT_MS_MAX)) return 'given-up';
      if (nowMs - askedMs >= LIVENESS_INTERVAL_MS) {
        askedMs = nowMs;
        if (holder && (await this.#isDead(holder))) return 'given-up';
      }
      await this.#clock.sleep(delayMs, signal);
    }
  }

  /**
   * Whether no other process has come since the last call, and none was there: nothing is new in the cache that this
   * process did not put there itself. Cheap: one stat where nothing changed.
   */
  async alone(): Promise<boolean> {
    if (this.#broken) return false;
    const { disk, directoryPath } = this.#options;
    const folder = join(directoryPath, OWNERS_FOLDER);
    const mtime = await this.#mtime(folder);
    if (mtime === undefined) return false;
    if (mtime === this.#ownersMtimeNs) return this.#alone;
    // Somebody came, or came, fetched and went: a look at the cache is due, whoever is there now.
    // What is far in the future is of a time before the clock was set back: fresh for as long, it would cost a listing each.
    const isFresh = Math.abs(this.#clock.nowMs() - Number(mtime / 1_000_000n)) < MTIME_GRAIN_MS;
    this.#alone = (await disk.list(folder).catch(() => ['', ''])).length <= 1;
    // Within one tick of the file system's clock another could come without a trace.
    this.#ownersMtimeNs = isFresh ? -1n : mtime;
    return false;
  }

  /** To be called when every claim is released. */
  async close(): Promise<void> {
    const owner = await this.#owner;
    this.#closing.abort();
    while (this.#removing) await this.#removing;
    clearInterval(this.#beat);
    await this.#beating;
    this.#broken = true;
    if (!owner) return;
    await owner.file.close().catch(() => undefined);
    await this.#options.disk.remove(owner.path).catch(() => undefined);
  }

  #path(name: string, generation: number): string {
    return join(this.#options.directoryPath, `${name}.${generation}`);
  }

  async #register(): Promise<Owner | undefined> {
    const { disk, directoryPath } = this.#options;
    const folder = join(directoryPath, OWNERS_FOLDER);
    try {
      await disk.makeDirectory(folder);
      const self = this.#options.identity ?? (await currentProcess());
      await this.#sweep(folder);
      const path = join(folder, randomBytes(8).toString('hex'));
      const file = await disk.open(path, 'create');
      const bytes = Buffer.from(JSON.stringify(self));
      try {
        await file.write([bytes], 0);
      } catch (error) {
        await file.close().catch(() => undefined);
        await disk.remove(path).catch(() => undefined);
        throw error;
      }
      return { path, file, bytes };
    } catch (error) {
      this.#giveUp(error);
      return undefined;
    }
  }

  async #registerAnew(old: Owner): Promise<Owner | undefined> {
    clearInterval(this.#beat);
    this.#beat = undefined;
    await this.#beating;
    await old.file.close().catch(() => undefined);
    return this.#register();
  }

  /**
   * Removes what long dead processes left, their claims first: an owner's file names the claims that are its. A claim
   * that somebody may still wait for stays, or one would take it anew while another takes the generation above.
   */
  async #sweep(folder: string): Promise<void> {
    const { disk, directoryPath } = this.#options;
    const dead = new Map<bigint, string>();
    for (const name of await disk.list(folder)) {
      const path = join(folder, name);
      const holder = await this.#readOwner(path);
      const stat = await disk.stat(path).catch(() => undefined);
      const ageMs = stat ? this.#clock.nowMs() - modifiedAtMs(stat) : 0;
      if (!holder || !stat || ageMs <= LEFTOVER_AGE_MS) continue;
      const isForeignDead = ageMs > FOREIGN_LEFTOVER_AGE_MS;
      if (await this.#isDead(holder, { isForeignDead })) dead.set(stat.inode, path);
    }
    if (dead.size === 0) return;
    for (const name of await disk.list(directoryPath)) {
      const path = join(directoryPath, name);
      const stat = await disk.stat(path).catch(() => undefined);
      if (stat && dead.has(stat.inode)) await disk.remove(path).catch(() => undefined);
    }
    for (const path of dead.values()) await disk.remove(path).catch(() => undefined);
  }

  #releaser(claim: HeldClaim): () => void {
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#held -= 1;
      if (this.#held === 0) {
        clearInterval(this.#beat);
        this.#beat = undefined;
      }
      this.#released.push(claim);
      this.#removing ??= this.#removeReleased();
    };
  }

  async #removeReleased(): Promise<void> {
    while (this.#released.length > 0) {
      await this.#clock.sleep(RELEASE_DELAY_MS, this.#closing.signal).catch(() => undefined);
      await Promise.all(this.#released.splice(0).map((claim) => this.#remove(claim)));
    }
    this.#removing = undefined;
  }

  async #remove({ name, generation }: HeldClaim): Promise<void> {
    // Our own first: while it is there nobody can take a lower one, whose owners were given up.
    for (let at = generation; at >= 0; at -= 1) {
      await this.#options.disk.remove(this.#path(name, at)).catch(() => undefined);
    }
  }

  #heartbeat(owner: Owner): void {
    this.#beating = owner.file.write([owner.bytes], 0).catch(() => undefined);
  }

  /** `isForeignDead`: what to take an owner for who cannot be asked about. */
  async #isDead(holder: ProcessIdentity, { isForeignDead = false } = {}): Promise<boolean> {
    const self = this.#options.identity ?? (await currentProcess());
    if (!sharesProcessNumbers(self, holder)) return isForeignDead;
    return !(await (this.#options.isRunning ?? isRunning)(holder));
  }

  async #readOwner(path: string): Promise<ProcessIdentity | undefined> {
    try {
      const file = await this.#options.disk.open(path, 'read');
      try {
        const bytes = Buffer.alloc(OWNER_BYTES_MAX);
        const length = await file.read([bytes], 0);
        return parseProcessIdentity(JSON.parse(bytes.toString('utf8', 0, length)));
      } finally {
        await file.close();
      }
    } catch {
      return undefined;
    }
  }

  async #mtime(path: string): Promise<bigint | undefined> {
    try {
      return (await this.#options.disk.stat(path)).mtimeNs;
    } catch {
      return undefined;
    }
  }

  #giveUp(error: unknown): void {
    if (this.#broken) return;
    this.#broken = true;
    const reason = systemErrorCode(error) ?? String(error);
    this.#options.log.log(
      'info',
      `cannot claim pages in ${this.#options.directoryPath} (${reason}): other processes may fetch the same pages`,
    );
  }
}
