// The versions that the server has open: HEAD is asked at most once in `headAgeMsMax` a namespace, by one request for
// all; opened versions stay open, the least recently used goes first and closes after its last reader.
import type { Clock } from '../base/clock.ts';
import { isSeekfsError, SeekfsError } from '../base/errors.ts';
import type { HeadPointer } from '../manifest/head.ts';
import type { PinnedVersion, VersionSelector } from '../manifest/types.ts';

/** One open version with a count of its holders. Whoever acquired it releases it once. */
export class VersionLease {
  readonly pinned: PinnedVersion;
  #holders = 1;

  constructor(pinned: PinnedVersion) {
    this.pinned = pinned;
  }

  /** False where the last holder has gone already. */
  tryRetain(): boolean {
    if (this.#holders === 0) return false;
    this.#holders += 1;
    return true;
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) this.pinned.close().catch(() => undefined);
  }
}

interface Head {
  lease: VersionLease;
  checkedMs: number;
}

/** How many names that are not there are remembered, for as long as a HEAD. */
const ABSENT_MAX = 1000;

export interface VersionPoolOptions {
  readonly head: (ns: string) => Promise<HeadPointer | undefined>;
  readonly pin: (ns: string, selector: VersionSelector) => Promise<PinnedVersion>;
  readonly clock: Clock;
  readonly headAgeMsMax: number;
  readonly openVersionsMax: number;
}

export class VersionPool {
  readonly #options: VersionPoolOptions;
  /** By `ns NUL version[@digest]`, least recently used first; the pool holds one reference of each. */
  readonly #open = new Map<string, VersionLease>();
  /** By namespace, likewise. */
  readonly #heads = new Map<string, Head>();
  readonly #opening = new Map<string, Promise<VersionLease>>();
  readonly #absent = new Map<string, { error: SeekfsError; untilMs: number }>();
  #closed = false;

  constructor(options: VersionPoolOptions) {
    this.#options = options;
  }

  /** The current version of each namespace that was asked for, as far as is known. */
  current(): PinnedVersion[] {
    return [...this.#heads.values()].map((head) => head.lease.pinned);
  }

  /**
   * The version, with a reference for the caller. Without a promise where it is open and fresh: the hot path.
   * @throws namespace_not_found, version_not_found, and what `pin` throws
   */
  acquire(ns: string, selector: VersionSelector): VersionLease | Promise<VersionLease> {
    return selector.kind === 'head' ? this.#acquireHead(ns) : this.#acquireVersion(ns, selector);
  }

  #acquireHead(ns: string): VersionLease | Promise<VersionLease> {
    const head = this.#heads.get(ns);
    const refresh = (): Promise<VersionLease> => this.#once(`${ns}\0`, () => this.#refresh(ns));
    if (!head) return this.#retained(refresh);
    const ageMs = this.#options.clock.monotonicMs() - head.checkedMs;
    if (ageMs > this.#options.headAgeMsMax) return this.#retained(refresh);
    // From half of the age on one request renews it behind the readers' backs, so that a busy server never waits.
    if (ageMs > this.#options.headAgeMsMax / 2) refresh().catch(() => undefined);
    return head.lease.tryRetain() ? head.lease : this.#retained(refresh);
  }

  async #refresh(ns: string): Promise<VersionLease> {
    const { head, pin, clock, openVersionsMax } = this.#options;
    const checkedMs = clock.monotonicMs();
    const before = this.#heads.get(ns);
    if (before) {
      const pointer = await head(ns);
      const { version, digest } = before.lease.pinned;
      if (pointer?.version === version && (pointer.digest ?? digest) === digest) {
        before.checkedMs = checkedMs;
        return before.lease;
      }
    }
    let pinned: PinnedVersion;
    try {
      pinned = await pin(ns, { kind: 'head' });
    } catch (error) {
      if (isSeekfsError(error, 'namespace_not_found')) this.#forget(ns);
      throw error;
    }
    const lease = new VersionLease(pinned);
    if (this.#closed) return closed(lease);
    this.#forget(ns);
    this.#heads.set(ns, { lease, checkedMs });
    for (const oldest of this.#heads.keys()) {
      if (this.#heads.size <= openVersionsMax) break;
      this.#forget(oldest);
    }
    return lease;
  }

  #forget(ns: string): void {
    this.#heads.get(ns)?.lease.release();
    this.#heads.delete(ns);
  }

  #acquireVersion(ns: string, selector: VersionSelector & { kind: 'version' }): VersionLease | Promise<VersionLease> {
    const key = `${ns}\0${selector.version}@${selector.digest ?? ''}`;
    const open = this.#open.get(key);
    const openIt = (): Promise<VersionLease> => this.#once(key, () => this.#openVersion(ns, selector, key));
    if (!open?.tryRetain()) return this.#retained(openIt);
    if (this.#open.size * 2 > this.#options.openVersionsMax) {
      this.#open.delete(key);
      this.#open.set(key, open);
    }
    return open;
  }

  async #openVersion(ns: string, selector: VersionSelector, key: string): Promise<VersionLease> {
    const lease = new VersionLease(await this.#options.pin(ns, selector));
    if (this.#closed) return closed(lease);
    this.#open.set(key, lease);
    for (const [oldestKey, oldest] of this.#open) {
      if (this.#open.size <= this.#options.openVersionsMax) break;
      this.#open.delete(oldestKey);
      oldest.release();
    }
    return lease;
  }

  async #retained(open: () => Promise<VersionLease>): Promise<VersionLease> {
    for (;;) {
      const lease = await open();
      // Between its opening and this line the version may have been evicted by many others.
      if (lease.tryRetain()) return lease;
      if (this.#closed) throw new SeekfsError('overloaded', 'the server is shutting down; ask again');
    }
  }

  /** One flight a key; that something is not there is remembered for as long as a HEAD may be old. */
  #once(key: string, open: () => Promise<VersionLease>): Promise<VersionLease> {
    const opening = this.#opening.get(key);
    if (opening) return opening;
    const absent = this.#absent.get(key);
    const nowMs = this.#options.clock.monotonicMs();
    if (absent && absent.untilMs > nowMs) return Promise.reject(absent.error);
    this.#absent.delete(key);
    const flight = open()
      .catch((error: unknown) => {
        if (isSeekfsError(error) && error.httpStatus === 404) {
          if (this.#absent.size >= ABSENT_MAX) this.#absent.clear();
          this.#absent.set(key, { error, untilMs: nowMs + this.#options.headAgeMsMax });
        }
        throw error;
      })
      .finally(() => this.#opening.delete(key));
    this.#opening.set(key, flight);
    return flight;
  }

  /** Gives back the pool's references; readers that hold one finish. */
  close(): void {
    this.#closed = true;
    for (const ns of this.#heads.keys()) this.#forget(ns);
    for (const lease of this.#open.values()) lease.release();
    this.#open.clear();
  }
}

/** The current versions that one request looks at: each is acquired once, and all are given back together. */
export class CurrentVersions {
  readonly #pool: VersionPool;
  readonly #leases = new Map<string, Promise<VersionLease>>();

  constructor(pool: VersionPool) {
    this.#pool = pool;
  }

  /** @throws as `VersionPool.acquire` */
  async get(ns: string): Promise<PinnedVersion> {
    let lease = this.#leases.get(ns);
    if (!lease) this.#leases.set(ns, (lease = Promise.resolve(this.#pool.acquire(ns, { kind: 'head' }))));
    return (await lease).pinned;
  }

  /** Undefined where it cannot be opened. */
  find(ns: string): Promise<PinnedVersion | undefined> {
    return this.get(ns).catch(() => undefined);
  }

  release(): void {
    for (const lease of this.#leases.values()) {
      lease.then(
        (acquired) => acquired.release(),
        () => undefined,
      );
    }
  }
}

function closed(lease: VersionLease): VersionLease {
  lease.release();
  return lease;
}
