// Retention as the L2 uses it: one policy a namespace, fed with reads, asked what to write and what to keep. Pure
// decisions; the L2 does what they say (see eviction.ts for which segment goes).
//
//   read of a page        retention.onHit(page) | retention.onMiss(page)      once a page and read
//   page to be written    retention.admit(page, { full, residentPages })      'decline': serve it, do not write it
//   segment to be evicted planEviction(segments, (record) => retention.score(record))
//   page gone             retention.onDrop(page)                              evicted, dead or damaged
//
// Dead pages (versions that nothing refers to) are not listed in SegmentView.records, and so go first.
import { Lru } from './lru.ts';
import { pageHash, type PageName } from './page-hash.ts';
import type { Fullness, Policy, RetentionName } from './policy.ts';
import { Retain } from './retain.ts';
import { S3Fifo } from './s3fifo.ts';

export type Admission = 'admit' | 'decline';

export class Retention {
  readonly #nameOf: (ns: string) => RetentionName;
  readonly #policies = new Map<string, Policy>();

  /** @param options.policyOf the policy that is configured for a namespace; asked once for each */
  constructor(options: { policyOf: (ns: string) => RetentionName }) {
    this.#nameOf = options.policyOf;
  }

  onHit(page: PageName): void {
    this.#policyOf(page.ns).use(pageHash(page), true);
  }

  onMiss(page: PageName): void {
    this.#policyOf(page.ns).use(pageHash(page), false);
  }

  admit(page: PageName, state: Fullness): Admission {
    return this.#policyOf(page.ns).admits(pageHash(page), state) ? 'admit' : 'decline';
  }

  /** Above 0: worth writing again when its segment goes; higher is hotter. */
  score(page: PageName): number {
    return this.#policyOf(page.ns).score(pageHash(page));
  }

  onDrop(page: PageName): void {
    this.#policyOf(page.ns).dropped(pageHash(page));
  }

  #policyOf(ns: string): Policy {
    let policy = this.#policies.get(ns);
    if (!policy) this.#policies.set(ns, (policy = createPolicy(this.#nameOf(ns))));
    return policy;
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
      return new Retain();
  }
}
