// All that one actor may do: real code, run against scripted answers. What it asks for next depends only on the answers
// that it got, so each history of answers is a node, found once by running the code and remembered.
import type { Clock } from '../../src/lib/base/clock.ts';
import type { Random } from '../../src/lib/base/random.ts';
import type {
  ConditionalWrites,
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
import { readSource, sourceSizeBytes } from '../../src/lib/objectstore/source.ts';
import { answerKey, BEGIN_MS, errorOf, TIME_STEP_MS, type Answer, type ModelRequest } from './model-store.ts';

export interface ActorPlace {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Actor {
  readonly name: string;
  /** Its random bytes are all this one, so that its intent has a known name. */
  readonly seed: number;
  readonly run: (place: ActorPlace) => Promise<unknown>;
}

export type Outcome =
  | { readonly kind: 'done'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly error: { readonly code?: string; readonly message: string } };

export interface ActorNode {
  readonly id: number;
  readonly parent: ActorNode | undefined;
  /** That led here from the parent. */
  readonly answer: Answer | undefined;
  /** Undefined where the actor has ended. */
  readonly request: ModelRequest | undefined;
  readonly outcome: Outcome | undefined;
}

const HEARTBEAT_MS = 60_000;

/** One run of the code, held at its next request. */
class Instance implements ObjectStore {
  readonly url = 'memory://model';
  request: ModelRequest | undefined;
  outcome: Outcome | undefined;
  readonly #started: number;
  #time: number;
  #answer: (answer: Answer) => void = () => undefined;
  #held: () => void = () => undefined;
  #heartbeats: (() => void)[] = [];
  #lastHead = '';

  constructor(time: number) {
    this.#time = time;
    this.#started = time;
  }

  async start(actor: Actor): Promise<void> {
    await this.#until(() => {
      const clock: Clock = {
        nowMs: () => BEGIN_MS + this.#time * TIME_STEP_MS,
        monotonicMs: () => (this.#time - this.#started) * TIME_STEP_MS,
        // No lease of one that lives lapses: in one step of time the explorer renews it as often as is due.
        uptimeMs: () => 0,
        sleep: (delayMs, signal) => this.#sleep(delayMs, signal),
      };
      const random: Random = { unit: () => 0.5, bytes: (length) => new Uint8Array(length).fill(actor.seed) };
      actor.run({ store: this, clock, random }).then(
        (value) => this.#end({ kind: 'done', value }),
        (error: unknown) => this.#end({ kind: 'failed', error: error as Error }),
      );
    });
  }

  async step(answer: Answer): Promise<void> {
    await this.#until(() => {
      this.request = undefined;
      if (answer.kind === 'late') {
        this.#time += 1;
        const heartbeats = this.#heartbeats;
        this.#heartbeats = [];
        for (const beat of heartbeats) beat();
      }
      this.#answer(answer);
    });
  }

  #until(go: () => void): Promise<void> {
    return new Promise((resolve) => {
      this.#held = resolve;
      go();
    });
  }

  #end(outcome: Outcome): void {
    this.outcome = outcome;
    this.#held();
  }

  #ask(request: ModelRequest): Promise<Exclude<Answer, { kind: 'error' }>> {
    return new Promise((resolve, reject) => {
      if (this.request) throw new Error('an actor with two requests at once is not modelled');
      this.request = request;
      this.#answer = (answer) => (answer.kind === 'error' ? reject(errorOf(answer)) : resolve(answer));
      this.#held();
    });
  }

  /** Back-offs are over at once; heartbeats come when time goes on; a poll for gc's mark waits. */
  #sleep(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (delayMs >= HEARTBEAT_MS) {
      return new Promise((resolve, reject) => {
        this.#heartbeats.push(resolve);
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      });
    }
    return this.#lastHead.endsWith('/intents/gc')
      ? this.#ask({ kind: 'wait' }).then(() => undefined)
      : Promise.resolve();
  }

  async head(request: { key: string }): Promise<ObjectHead> {
    this.#lastHead = request.key;
    return this.#object({ kind: 'head', key: request.key });
  }

  async #object(request: ModelRequest): Promise<WholeObject> {
    return ((await this.#ask(request)) as Answer & { kind: 'object' }).object;
  }

  async getRange(request: GetRangeRequest, sink: RangeSink): Promise<ObjectHead> {
    const { key, ifMatch, range } = request;
    const object = await this.#object({ kind: 'get', key, ifMatch });
    await sink.write(object.bytes.subarray(range.off, range.off + range.len));
    return object;
  }

  getWhole(request: GetWholeRequest): Promise<WholeObject> {
    return this.#object({ kind: 'get', key: request.key });
  }

  async put(request: PutRequest): Promise<{ etag: string }> {
    const { key, source, condition } = request;
    const chunks: Uint8Array[] = [];
    for await (const chunk of readSource(
      source,
      { off: 0, len: sourceSizeBytes(source) },
      { key, signal: undefined },
    )) {
      chunks.push(Uint8Array.from(chunk));
    }
    // A heartbeat: the explorer renews the leases of whoever lives when time goes on.
    if (this.#time > this.#started && isRenewal(request)) return { etag: '' };
    this.#lastHead = '';
    const answer = await this.#ask({ kind: 'put', key, bytes: Buffer.concat(chunks), condition });
    return { etag: (answer as Answer & { kind: 'put' }).etag };
  }

  async *list(request: ListRequest): AsyncGenerator<readonly ObjectListing[]> {
    yield ((await this.#ask({ kind: 'list', prefix: request.prefix })) as Answer & { kind: 'listing' }).objects;
  }

  async delete(request: { keys: readonly string[] }): Promise<void> {
    await this.#ask({ kind: 'delete', keys: request.keys });
  }

  presign(): Promise<string> {
    throw new Error('nobody presigns here');
  }

  /** The probe is not what is explored. */
  probeConditionalWrites(): Promise<ConditionalWrites> {
    return Promise.resolve({ ifNoneMatch: true, ifMatch: true });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function isRenewal({ key, condition }: PutRequest): boolean {
  return key.includes('/intents/') && condition.kind === 'none';
}

export class ActorTree {
  readonly actor: Actor;
  readonly #time: number;
  readonly nodes: ActorNode[] = [];
  readonly #children = new Map<string, number>();
  /** Instances that stand at a node and were not continued. */
  readonly #live = new Map<number, Instance>();
  /** How often the code was run from its start. */
  runs = 0;

  constructor(actor: Actor, time = 0) {
    this.actor = actor;
    this.#time = time;
  }

  async open(): Promise<this> {
    const instance = await this.#start();
    this.#add({ parent: undefined, answer: undefined }, instance);
    return this;
  }

  async #start(): Promise<Instance> {
    this.runs += 1;
    const instance = new Instance(this.#time);
    await instance.start(this.actor);
    return instance;
  }

  #add(from: Pick<ActorNode, 'parent' | 'answer'>, instance: Instance): number {
    const id = this.nodes.length;
    this.nodes.push({ id, ...from, request: instance.request, outcome: instance.outcome });
    if (instance.request) this.#live.set(id, instance);
    return id;
  }

  /** The node after the answer: known, or found by running the code. */
  next(id: number, answer: Answer): number | Promise<number> {
    const key = `${id} ${answerKey(answer)}`;
    return this.#children.get(key) ?? this.#find(id, answer, key);
  }

  async #find(id: number, answer: Answer, key: string): Promise<number> {
    const parent = this.nodes[id]!;
    const instance = this.#live.get(id) ?? (await this.#replay(parent));
    this.#live.delete(id);
    await instance.step(answer);
    const child = this.#add({ parent, answer }, instance);
    this.#children.set(key, child);
    return child;
  }

  async #replay(node: ActorNode): Promise<Instance> {
    const answers: Answer[] = [];
    for (let at = node; at.parent; at = at.parent) answers.push(at.answer!);
    const instance = await this.#start();
    for (const answer of answers.reverse()) await instance.step(answer);
    return instance;
  }
}
