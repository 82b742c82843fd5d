// Retention as the L2 uses it: one policy a namespace, fed with reads, asked what to write and what to keep. Pure
// decisions; the L2 does what they say (see eviction.ts for which segment goes).
//
//   read of a page        retention.onHit(page) | retention.onMiss(page)      small steps through a page count once
//   page to be written    retention.admit(page, { full, residentPages })      'decline': serve it, do not write it
//   segment to be evicted planEviction(segments, (record) => retention.score(record))
//   page gone             retention.onDrop(page)                              evicted, dead or damaged
//
// Dead pages (versions that nothing refers to) are not listed in SegmentView.records, and so go first.
import { Auto } from './auto.ts';
import { Lru } from './lru.ts';
import { pageHash, type HashedPage, type PageName } from './page-hash.ts';
import type { Fullness, Policy, RetentionName } from './policy.ts';
import { RecentPages } from './recent.ts';
import { Retain } from './retain.ts';
import { S3Fifo } from './s3fifo.ts';

export type Admission = 'admit' | 'decline';

interface Namespace {
  readonly policy: Policy;
  readonly recent: RecentPages;
  usedTick: number;
}

/** Namespaces whose uses are remembered; the one that was used longest ago makes room. */
const NAMESPACES_MAX = 64;
/** A namespace is idle after this many uses of others, or twice as many as pages are stored. */
const IDLE_USES_MIN = 4096;

export class Retention {
  readonly #nameOf: (ns: string) => RetentionName;
  /** In the order of their last use. */
  readonly #namespaces = new Map<string, Namespace>();
  /** Uses so far, of all namespaces. */
  #tick = 0;
  #idleUses = IDLE_USES_MIN;

  /** @param options.policyOf the policy that is configured for a namespace */
  constructor(options: { policyOf: (ns: string) => RetentionName }) {
    this.#nameOf = options.policyOf;
  }

  onHit(page: PageName): void {
    this.#use(page, true);
  }

  onMiss(page: PageName): void {
    this.#use(page, false);
  }

  admit(page: PageName, state: Fullness): Admission {
    this.#idleUses = Math.max(IDLE_USES_MIN, 2 * state.residentPages);
    if (!this.admits(page, state)) return 'decline';
    this.#of(page.ns).policy.store(pageHash(page), true);
    return 'admit';
  }

  /** What `admit` would answer now, without an effect. */
  admits(page: PageName, state: Fullness): boolean {
    return this.#of(page.ns).policy.admits(pageHash(page), state);
  }

  /** Above 0: worth writing again when its segment goes; higher is hotter. A namespace that nobody reads gives way. */
  score({ ns, key }: HashedPage): number {
    const { policy, usedTick } = this.#of(ns);
    return this.#tick - usedTick > this.#idleUses ? 0 : policy.score(key);
  }

  onDrop({ ns, key }: HashedPage): void {
    this.#of(ns).policy.store(key, false);
  }

  #use(page: PageName, found: boolean): void {
    const namespace = this.#of(page.ns);
    if (namespace.usedTick !== this.#tick) {
      this.#namespaces.delete(page.ns);
      this.#namespaces.set(page.ns, namespace);
    }
    const key = pageHash(page);
    const isNew = namespace.recent.isNew(key);
    if (isNew) this.#tick += 1;
    namespace.usedTick = this.#tick;
    if (isNew) namespace.policy.use(key, found);
  }

  #of(ns: string): Namespace {
    const known = this.#namespaces.get(ns);
    if (known) return known;
    if (this.#namespaces.size === NAMESPACES_MAX) {
      this.#namespaces.delete(this.#namespaces.keys().next().value!);
    }
    const namespace = { policy: createPolicy(this.#nameOf(ns)), recent: new RecentPages(), usedTick: 0 };
    this.#namespaces.set(ns, namespace);
    return namespace;
  }
}

function createPolicy(name: RetentionName): Policy {
  switch (name) {
    case 'retain':
      return new Retain();
    case 'lru':
      return new Lru();
    case 's3fifo':
      return new S3Fifo();
    case 'auto':
      return new Auto();
  }
}
