// The segmentstore against a map: commands for fast-check. The map knows of every granule whether it must be found, must
// survive a power loss, or may be gone; the bytes of a hit are compared in any case.
import * as fc from 'fast-check';
import { systemClock } from '../../src/lib/base/clock.ts';
import { GRANULE_BYTES, granuleCount, granulesOf } from '../../src/lib/page/page.ts';
import { recordBytes } from '../../src/lib/segment/format.ts';
import { readFooter, readSegmentHeader, scanRecords } from '../../src/lib/segment/scan.ts';
import { decodeGroup, decodeItem } from '../../src/lib/cache/page-key.ts';
import { CrashDisk } from './crash-disk.ts';
import { FaultDisk } from './fault-disk.ts';
import { openTestStore, testPage, type TestPage, type TestStore } from './segment-store.ts';
import { TestProcesses } from './test-processes.ts';

const CACHE = '/cache';
const CAPACITY_BYTES = 32 * 1024 * 1024;

const MODEL_PAGES: readonly TestPage[] = [
  testPage({ path: 'a', pageId: 0, len: 2 * GRANULE_BYTES + 5000 }),
  testPage({ path: 'a', pageId: 1, len: 700 }),
  testPage({ path: 'a', pageId: 0, len: 2 * GRANULE_BYTES + 5000, identity: 'sha256:another content' }),
  testPage({ path: 'b', pageId: 0, len: GRANULE_BYTES }),
  testPage({ path: 'b', pageId: 1, len: 20_000 }),
];

/** What the reference knows: by page and granule. */
interface Reference {
  readonly held: Set<string>;
  readonly durable: Set<string>;
  /** Damaged or half-written, and so perhaps in an index although it cannot be read. */
  readonly doubtful: Set<string>;
  /** Declared dead: from then on each process may find them or not. */
  readonly dead: Set<string>;
}

function newReference(): Reference {
  return { held: new Set(), durable: new Set(), doubtful: new Set(), dead: new Set() };
}

function keysOf(page: TestPage, span = { first: 0, count: granuleCount(page.page) }): string[] {
  const { path, pageId, identity } = page.page;
  return Array.from({ length: span.count }, (_, index) => `${path}/${pageId}/${identity}#${span.first + index}`);
}

interface LiveProcess {
  readonly disk: FaultDisk;
  readonly store: TestStore;
  readonly end: () => void;
}

/** One shared disk with two processes that use it. */
class Machine {
  readonly #processes = new TestProcesses();
  readonly #live: [LiveProcess | undefined, LiveProcess | undefined] = [undefined, undefined];
  disk = new CrashDisk();
  hits = 0;
  kills = 0;
  damages = 0;

  async prepare(): Promise<void> {
    await this.disk.makeDirectory(CACHE);
    this.disk.settle();
  }

  /** The process of that number, begun where it does not live. */
  async process(number: 0 | 1): Promise<LiveProcess> {
    const live = this.#live[number];
    if (live) return live;
    const disk = new FaultDisk(this.disk);
    const processes = this.#processes.begin();
    const store = await openTestStore(CACHE, { disk, capacityBytes: CAPACITY_BYTES, clock: systemClock, processes });
    return (this.#live[number] = { disk, store, end: () => this.#processes.end(processes.identity) });
  }

  async close(number: 0 | 1): Promise<void> {
    const live = this.#live[number];
    this.#live[number] = undefined;
    await live?.store.store.close();
    live?.end();
    if (live && live.store.memory.inUseBytes !== 0) throw new Error('slabs were not given back');
  }

  /** The process does `operations` more operations, in which `work` may get somewhere, and then no more. */
  async kill(number: 0 | 1, operations: number, work: (store: TestStore) => Promise<unknown>): Promise<void> {
    const live = await this.process(number);
    live.disk.fail({ code: 'EIO', skip: operations });
    await work(live.store).catch(() => undefined);
    await this.close(number);
    this.kills += 1;
  }

  async powerLoss(seed: number): Promise<void> {
    this.disk.die();
    for (const number of [0, 1] as const) await this.close(number);
    this.disk = this.disk.reopen(seed);
  }

  async end(): Promise<void> {
    for (const number of [0, 1] as const) await this.close(number);
    if (this.disk.openFiles !== 0) throw new Error(`${this.disk.openFiles} files stayed open`);
  }

  /** Flips bits of one byte of some segment; the granules of the record that it is in. */
  async damage(where: number, mask: number): Promise<string[]> {
    const names = await this.disk.list(`${CACHE}/segments`).catch(() => []);
    const name = names[Math.floor(where * names.length)];
    if (name === undefined) return [];
    const path = `${CACHE}/segments/${name}`;
    const bytes = this.disk.bytesOf(path);
    if (bytes.length === 0) return [];
    const at = Math.floor(((where * 7919) % 1) * bytes.length);
    const hit = await this.#granulesAt(path, at);
    bytes[at]! ^= mask;
    this.disk.plant(path, bytes);
    this.damages += 1;
    return hit;
  }

  async #granulesAt(path: string, at: number): Promise<string[]> {
    const file = await this.disk.open(path, 'read');
    try {
      const { sizeBytes } = await file.stat();
      const id = Buffer.from(path.split('/').at(-1)!.slice(0, 32), 'hex');
      const from = (await readSegmentHeader(file))?.headerBytes ?? 48;
      const scan = await scanRecords(file, { id, sizeBytes, from, resync: true });
      const footer = await readFooter(file, { id, sizeBytes });
      const entry = [...scan.entries, ...(footer?.entries ?? [])].find(
        (one) => at >= one.offset && at < one.offset + recordBytes(one),
      );
      const item = entry && decodeItem(entry.item, entry.payloadBytes);
      const group = entry && decodeGroup(entry.group);
      if (!item || !group) return [];
      const page = MODEL_PAGES.find(
        ({ page: one }) => one.path === group.path && one.identity === group.identity && one.pageId === item.pageId,
      );
      const count = Math.ceil(entry.payloadBytes / GRANULE_BYTES);
      return page ? keysOf(page, { first: item.firstGranule, count }) : [];
    } finally {
      await file.close();
    }
  }
}

type ProcessNumber = 0 | 1;
type ModelCommand = fc.AsyncCommand<Reference, Machine>;

type Run<At> = (at: At, reference: Reference, machine: Machine) => Promise<void>;

class Step<At extends readonly unknown[]> implements ModelCommand {
  readonly #name: string;
  readonly #at: At;
  readonly #run: Run<At>;

  constructor(name: string, at: At, run: Run<At>) {
    this.#name = name;
    this.#at = at;
    this.#run = run;
  }

  check(): boolean {
    return true;
  }

  run(reference: Reference, machine: Machine): Promise<void> {
    return this.#run(this.#at, reference, machine);
  }

  toString(): string {
    return `${this.#name}(${this.#at.join()})`;
  }
}

function forget(reference: Reference, keys: readonly string[]): void {
  for (const key of keys) {
    reference.held.delete(key);
    reference.durable.delete(key);
  }
}

/** A read as the read path does it: what is missed is put, until it is found. */
async function readThrough(
  [number, index, offShare, lenShare]: readonly [ProcessNumber, number, number, number],
  reference: Reference,
  machine: Machine,
): Promise<void> {
  const page = MODEL_PAGES[index]!;
  const off = Math.floor(offShare * page.page.len);
  const range = { off, len: Math.max(1, Math.floor(lenShare * (page.page.len - off))) };
  const span = granulesOf(range);
  const keys = keysOf(page, span);
  const { store } = await machine.process(number);
  await store.store.refresh();
  const owed = keys.every((key) => reference.held.has(key));
  for (let round = 0; ; round += 1) {
    if (await store.get(page, range)) break;
    if (owed) throw new Error(`${keys.join(' ')} was lost`);
    // Each round writes what was absent and finds one damaged record at least.
    if (round > 8) throw new Error(`${keys.join(' ')} cannot be put`);
    await store.put(page, span);
  }
  machine.hits += 1;
  for (const key of keys) {
    if (!reference.dead.has(key)) reference.held.add(key);
    reference.doubtful.delete(key);
  }
}

async function put(
  [number, index, first, count]: readonly [ProcessNumber, number, number, number],
  reference: Reference,
  machine: Machine,
): Promise<void> {
  const page = MODEL_PAGES[index]!;
  const granules = granuleCount(page.page);
  const from = first % granules;
  const span = { first: from, count: Math.max(1, Math.min(count, granules - from)) };
  const { store } = await machine.process(number);
  await store.put(page, span);
  // A granule that is damaged on disk is not written again before a read has found that out.
  for (const key of keysOf(page, span)) {
    if (!reference.doubtful.has(key) && !reference.dead.has(key)) reference.held.add(key);
  }
}

/** `dead`: pages of that path may go. */
async function clean(
  [number, dead]: readonly [ProcessNumber, string | undefined],
  reference: Reference,
  machine: Machine,
): Promise<void> {
  const { store } = await machine.process(number);
  store.store.maintenance.knowDead((file) => file.path === dead);
  await store.store.maintenance.clean();
  for (const page of MODEL_PAGES) {
    if (page.page.path !== dead) continue;
    forget(reference, keysOf(page));
    for (const key of keysOf(page)) reference.dead.add(key);
  }
}

async function reopen([number]: readonly [ProcessNumber], _reference: Reference, machine: Machine): Promise<void> {
  await machine.close(number);
  await machine.process(number);
}

/** A process dies in a put or in maintenance. */
async function kill(
  [number, operations, index, maintaining]: readonly [ProcessNumber, number, number, boolean],
  reference: Reference,
  machine: Machine,
): Promise<void> {
  const page = MODEL_PAGES[index]!;
  await machine.kill(number, operations, async (store) => {
    store.store.maintenance.knowDead(() => false);
    if (maintaining) await store.store.maintenance.clean();
    else await store.put(page);
  });
  // Whether the page arrived nobody said.
  if (!maintaining) for (const key of keysOf(page)) if (!reference.held.has(key)) reference.doubtful.add(key);
}

async function sync(_at: readonly [], reference: Reference, machine: Machine): Promise<void> {
  machine.disk.settle();
  for (const key of reference.held) reference.durable.add(key);
}

async function losePower([seed]: readonly [number], reference: Reference, machine: Machine): Promise<void> {
  await machine.powerLoss(seed);
  reference.dead.clear();
  // A head may have survived without its payload.
  for (const page of MODEL_PAGES) {
    for (const key of keysOf(page)) if (!reference.durable.has(key)) reference.doubtful.add(key);
  }
  reference.held.clear();
  for (const key of reference.durable) reference.held.add(key);
}

async function damage([where, mask]: readonly [number, number], reference: Reference, machine: Machine): Promise<void> {
  const hit = await machine.damage(where, mask);
  forget(reference, hit);
  for (const key of hit) reference.doubtful.add(key);
}

const process = fc.constantFrom<ProcessNumber>(0, 1);
const page = fc.nat({ max: MODEL_PAGES.length - 1 });
const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

const read = fc.tuple(process, page, share, share).map((at) => new Step('read', at, readThrough));

const commands = fc.commands(
  [
    read,
    read,
    fc.tuple(process, page, fc.nat({ max: 2 }), fc.integer({ min: 1, max: 3 })).map((at) => new Step('put', at, put)),
    fc.tuple(process, fc.constantFrom(undefined, undefined, 'a', 'b')).map((at) => new Step('clean', at, clean)),
    fc.tuple(process).map((at) => new Step('reopen', at, reopen)),
    fc.tuple(process, fc.nat({ max: 40 }), page, fc.boolean()).map((at) => new Step('kill', at, kill)),
    fc.constant(new Step('sync', [], sync)),
    fc.tuple(fc.nat({ max: 1_000_000 })).map((at) => new Step('losePower', at, losePower)),
    fc.tuple(share, fc.integer({ min: 1, max: 255 })).map((at) => new Step('damage', at, damage)),
  ],
  { maxCommands: 40, size: '+1' },
);

/** @returns what the runs have met; fast-check throws, with seed and path, for a sequence after which the map is not obeyed */
export async function checkAgainstMap(numRuns: number): Promise<{ hits: number; kills: number; damages: number }> {
  const seen = { hits: 0, kills: 0, damages: 0 };
  await fc.assert(
    fc.asyncProperty(commands, async (sequence) => {
      const machine = new Machine();
      await machine.prepare();
      await fc.asyncModelRun(() => ({ model: newReference(), real: machine }), sequence);
      await machine.end();
      seen.hits += machine.hits;
      seen.kills += machine.kills;
      seen.damages += machine.damages;
    }),
    { numRuns },
  );
  return seen;
}
