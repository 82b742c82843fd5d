// Runs real code of several actors against one memory store under every schedule within bounds: which actor's request
// comes next, and which request is lost, whose answer is lost, where an actor crashes. One request at a time; an actor
// runs undisturbed between two of its requests, where it touches nothing shared.
import { systemClock, type Clock } from '../../src/lib/base/clock.ts';
import { SeekfsError } from '../../src/lib/base/errors.ts';
import { ForwardingObjectStore } from '../../src/lib/objectstore/forwarding.ts';
import type { MemoryObjectStore } from '../../src/lib/objectstore/memory.ts';
import type {
  GetRangeRequest,
  GetWholeRequest,
  ListRequest,
  ObjectHead,
  ObjectListing,
  ObjectStore,
  PutRequest,
  RangeSink,
  WholeObject,
} from '../../src/lib/objectstore/object-store.ts';

export type Fault = 'lost request' | 'lost answer' | 'crash before' | 'crash after';

const READ_FAULTS: readonly Fault[] = ['lost request', 'crash before'];
const WRITE_FAULTS: readonly Fault[] = ['lost request', 'lost answer', 'crash before', 'crash after'];

export interface Bounds {
  /** Switches away from an actor that could go on. */
  readonly preemptionsMax: number;
  readonly faultsMax: number;
}

export interface Actor {
  readonly name: string;
  readonly run: (place: { store: ObjectStore; clock: Clock }) => Promise<unknown>;
}

export type Outcome =
  | { readonly kind: 'done'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'crashed' };

/** One world: a store with what was there before, its time, and who acts in it. */
export interface World {
  readonly store: MemoryObjectStore;
  readonly time: { nowMs: number };
  readonly actors: readonly Actor[];
  /** After each request that changed something. */
  readonly checkState: () => Promise<void>;
  readonly checkEnd: (outcomes: ReadonlyMap<string, Outcome>, trace: readonly string[]) => Promise<void>;
}

interface Step {
  readonly text: string;
  readonly kind: 'read' | 'write' | 'sleep';
  /** Carries the request out; `answer` tells the actor. */
  readonly execute: () => Promise<void>;
  readonly answer: (fault?: Error) => void;
}

class Runner {
  readonly actor: Actor;
  pending: Step | undefined;
  outcome: Outcome | undefined;
  #blocked: () => void = () => undefined;
  #isStarted = false;

  constructor(actor: Actor) {
    this.actor = actor;
  }

  /** Resolves when the actor waits for its next request, or has ended. */
  async go(place: { store: ObjectStore; clock: Clock }, resume?: () => void): Promise<void> {
    const blocked = new Promise<void>((resolve) => {
      this.#blocked = resolve;
    });
    if (this.#isStarted) resume!();
    else {
      this.#isStarted = true;
      this.actor.run(place).then(
        (value) => this.#end({ kind: 'done', value }),
        (error: unknown) => this.#end({ kind: 'failed', error }),
      );
    }
    await blocked;
  }

  #end(outcome: Outcome): void {
    this.outcome = outcome;
    this.#blocked();
  }

  block(step: Step): void {
    this.pending = step;
    this.#blocked();
  }
}

/** The store of one actor: each request waits for its turn. */
class GatedStore extends ForwardingObjectStore {
  readonly #runner: Runner;

  constructor(inner: ObjectStore, runner: Runner) {
    super(inner);
    this.#runner = runner;
  }

  #gate<T>(kind: 'read' | 'write', text: string, request: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let answer: () => void = () => undefined;
      this.#runner.block({
        text,
        kind,
        execute: async () => {
          try {
            const value = await request();
            answer = () => resolve(value);
          } catch (error) {
            answer = () => reject(error);
          }
        },
        answer: (fault) => (fault ? reject(fault) : answer()),
      });
    });
  }

  override head(request: { key: string }): Promise<ObjectHead> {
    return this.#gate('read', `head ${request.key}`, () => this.inner.head(request));
  }

  override getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    return this.#gate('read', `get ${request.key}`, () => this.inner.getRange(request, sink));
  }

  override getWhole(request: GetWholeRequest): Promise<WholeObject> {
    return this.#gate('read', `get ${request.key}`, () => this.inner.getWhole(request));
  }

  override put(request: PutRequest): Promise<{ etag: string }> {
    return this.#gate('write', `put ${request.key} ${request.condition.kind}`, () => this.inner.put(request));
  }

  override async *list(request: ListRequest): AsyncGenerator<readonly ObjectListing[]> {
    const pages: (readonly ObjectListing[])[] = [];
    await this.#gate('read', `list ${request.prefix}`, async () => {
      for await (const page of this.inner.list(request)) pages.push(page);
    });
    yield* pages;
  }

  override delete(request: { keys: readonly string[] }): Promise<void> {
    return this.#gate('write', `delete ${request.keys.join(' ')}`, () => this.inner.delete(request));
  }

  override probeConditionalWrites(): Promise<{ ifNoneMatch: boolean; ifMatch: boolean }> {
    return Promise.resolve({ ifNoneMatch: true, ifMatch: true });
  }
}

interface Choice {
  readonly runner: Runner;
  readonly fault: Fault | undefined;
  readonly isPreemption: boolean;
}

/** The decisions of one run: those of the prefix, then the first of each. */
class Decisions {
  readonly taken: { index: number; count: number }[] = [];
  readonly #prefix: readonly number[];

  constructor(prefix: readonly number[]) {
    this.#prefix = prefix;
  }

  take<T>(choices: readonly T[]): T {
    const index = this.#prefix[this.taken.length] ?? 0;
    this.taken.push({ index, count: choices.length });
    return choices[index]!;
  }

  /** The prefix of the next run in depth-first order. */
  next(): number[] | undefined {
    const all = [...this.taken];
    while (all.length > 0) {
      const { index, count } = all.pop()!;
      if (index + 1 < count) return [...all.map((decision) => decision.index), index + 1];
    }
    return undefined;
  }
}

async function runSchedule(world: World, bounds: Bounds, decisions: Decisions): Promise<string[]> {
  const trace: string[] = [];
  const runners = world.actors.map((actor) => new Runner(actor));
  const places = new Map(
    runners.map((runner) => [
      runner,
      { store: new GatedStore(world.store, runner), clock: modelClock(world, runner, runners) },
    ]),
  );
  let preemptions = 0;
  let faults = 0;
  let current = runners[0]!;
  for (;;) {
    const live = runners.filter((runner) => !runner.outcome);
    if (live.length === 0) break;
    const others = live.filter((runner) => runner !== current);
    const canGoOn = live.includes(current);
    // Whoever sleeps gives way, which is no preemption.
    const isAsleep = canGoOn && current.pending?.kind === 'sleep' && others.length > 0;
    const choices: Choice[] = [];
    const offer = (runner: Runner, isPreemption: boolean): void => {
      choices.push({ runner, fault: undefined, isPreemption });
      const kind = runner.pending?.kind;
      if (faults >= bounds.faultsMax || kind === undefined || kind === 'sleep') return;
      for (const fault of kind === 'read' ? READ_FAULTS : WRITE_FAULTS) choices.push({ runner, fault, isPreemption });
    };
    if (canGoOn && !isAsleep) offer(current, false);
    const isFree = !canGoOn || isAsleep;
    if (isFree || preemptions < bounds.preemptionsMax) for (const runner of others) offer(runner, !isFree);
    const choice = decisions.take(choices);
    if (choice.isPreemption) preemptions += 1;
    if (choice.fault) faults += 1;
    current = choice.runner;
    await take(world, choice, places.get(current)!, trace);
  }
  const outcomes = new Map(runners.map((runner) => [runner.actor.name, runner.outcome!]));
  await world.checkEnd(outcomes, trace);
  return trace;
}

async function take(
  world: World,
  { runner, fault }: Choice,
  place: { store: ObjectStore; clock: Clock },
  trace: string[],
): Promise<void> {
  const step = runner.pending;
  if (!step) {
    await runner.go(place);
    return;
  }
  trace.push(`${runner.actor.name}: ${step.text}${fault ? ` (${fault})` : ''}`);
  const isCarriedOut = fault !== 'lost request' && fault !== 'crash before';
  if (isCarriedOut) {
    await step.execute();
    if (step.kind === 'write') await world.checkState();
  }
  runner.pending = undefined;
  if (fault === 'crash before' || fault === 'crash after') {
    runner.outcome = { kind: 'crashed' };
    return;
  }
  const lost = fault && new SeekfsError('store_unavailable', 'no answer');
  await runner.go(place, () => step.answer(lost));
}

/** Heartbeats never come; other sleeps are steps. Where gc has ended, and only its mark is left,
 * a sleep is long enough for that to expire. */
function modelClock(world: World, runner: Runner, runners: readonly Runner[]): Clock {
  return {
    nowMs: () => world.time.nowMs,
    monotonicMs: () => world.time.nowMs,
    sleep: (delayMs, signal) => {
      if (delayMs >= 60_000) return systemClock.sleep(2 ** 30, signal);
      return new Promise((resolve) => {
        runner.block({
          text: 'sleep',
          kind: 'sleep',
          execute: () => {
            const isGcDead = runners.some((other) => other.actor.name === 'gc' && other.outcome !== undefined);
            world.time.nowMs += isGcDead ? 5 * 60_000 : delayMs;
            return Promise.resolve();
          },
          answer: () => resolve(),
        });
      });
    },
  };
}

/** Every schedule within the bounds, each in a world of its own. A failure names the schedule. */
export async function exploreSchedules(
  bounds: Bounds,
  makeWorld: () => Promise<World>,
): Promise<{ schedules: number; traces: readonly string[][] }> {
  const traces: string[][] = [];
  let prefix: number[] | undefined = [];
  while (prefix) {
    const decisions = new Decisions(prefix);
    const world = await makeWorld();
    try {
      traces.push(await runSchedule(world, bounds, decisions));
    } catch (error) {
      throw new Error(`schedule ${JSON.stringify(prefix)}: ${String(error)}`, { cause: error });
    }
    prefix = decisions.next();
  }
  return { schedules: traces.length, traces };
}
