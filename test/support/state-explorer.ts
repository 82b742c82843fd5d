// Visits every state that several actors and one object store can come to: whoever's request comes next, whoever dies
// before it changes something, whichever request or answer is lost. States that were seen are not visited again, so the
// exploration is exhaustive. What the actors do is found by running their real code (actor-tree.ts).
import { gcMarkKey, intentKey } from '../../src/lib/manifest/key-layout.ts';
import { ActorTree, type Actor, type ActorNode, type Outcome } from './actor-tree.ts';
import { carryOut, describeRequest, storeKey, touch, type Answer, type ModelStore } from './model-store.ts';

export interface Bounds {
  /** Actors that die. */
  readonly crashesMax: number;
  /** Requests that are lost, or whose answer is. */
  readonly faultsMax: number;
}

export interface Model {
  readonly ns: string;
  readonly actors: readonly Actor[];
  readonly begin: ModelStore;
  /** Of a store that is seen for the first time. */
  readonly checkStore: (store: ModelStore) => void;
  readonly checkChange: (before: ModelStore, after: ModelStore) => void;
  /** `outcomes`: of those actors that have ended by themselves. */
  readonly checkState: (store: ModelStore, outcomes: ReadonlyMap<string, Outcome>) => void;
  /** Run one after the other from every state in which nobody is at work any more, a lease later; both must succeed. */
  readonly successors: readonly Actor[];
}

export interface Exploration {
  readonly states: number;
  readonly stores: number;
  readonly ends: number;
  /** Runs of real code from their start. */
  readonly runs: number;
  /** Every step that was taken somewhere, as "actor: request (fault)", keys without digests. */
  readonly steps: ReadonlySet<string>;
  readonly outcomes: ReadonlySet<string>;
}

type Fault = 'lost request' | 'lost answer' | 'answer of a retry';

interface Move {
  /** Index of the actor; -1: a lease goes by. */
  readonly actor: number;
  readonly kind: 'step' | 'crash';
  readonly key?: string;
  readonly fault?: Fault | undefined;
}

/** An actor at a node, with what is left of a batch of deletes; `undefined` for a dead one. */
interface Standing {
  readonly node: number;
  readonly left: readonly string[] | undefined;
}

interface State {
  readonly store: number;
  /** Indexes into the standings of each actor; 0 is death. */
  readonly at: readonly number[];
  readonly crashes: number;
  readonly faults: number;
}

interface Frame {
  readonly state: State;
  readonly moves: readonly Move[];
  next: number;
}

/** What a step of an actor comes to, which depends on the store and on itself alone. */
interface Effect {
  readonly store: number;
  readonly standing: number;
}

const DEAD = 0;
const TIME_MAX = 3;

const UNAVAILABLE: Answer = { kind: 'error', code: 'store_unavailable' };
const REFUSED: Answer = { kind: 'error', code: 'precondition_failed' };

class Explorer {
  readonly #model: Model;
  readonly #bounds: Bounds;
  readonly #trees: ActorTree[];
  readonly #stores: ModelStore[] = [];
  readonly #storeIds = new Map<string, number>();
  readonly #standings: (Standing | undefined)[][];
  readonly #standingIds: Map<string, number>[];
  /** Of an actor, so that those of all fit into one safe integer. */
  readonly #standingsMax: number;
  readonly #changes = new Set<string>();
  /** By store and counts, the standings of all actors as one number. */
  readonly #seen = new Map<number, Set<number>>();
  #states = 0;
  readonly #effects = new Map<string, Effect>();
  readonly #successors = new Map<string, ActorTree>();
  readonly #steps = new Set<string>();
  readonly #outcomes = new Set<string>();
  readonly #checkedEnds = new Set<number>();
  #ends = 0;

  constructor(model: Model, bounds: Bounds) {
    this.#model = model;
    this.#bounds = bounds;
    this.#trees = model.actors.map((actor) => new ActorTree(actor));
    this.#standings = model.actors.map(() => [undefined]);
    this.#standingIds = model.actors.map(() => new Map());
    this.#standingsMax = 2 ** Math.floor(52 / model.actors.length);
  }

  async run(): Promise<Exploration> {
    for (const tree of this.#trees) await tree.open();
    const at = this.#trees.map((_, actor) => this.#standing(actor, { node: 0, left: undefined }));
    const stack: Frame[] = [];
    try {
      const first = { store: this.#intern(this.#model.begin), at, crashes: 0, faults: 0 };
      this.#push(stack, first);
      while (stack.length > 0) {
        const frame = stack.at(-1)!;
        const move = frame.moves[frame.next++];
        if (!move) {
          if (frame.moves.length === 0) await this.#end(frame.state);
          stack.pop();
          continue;
        }
        const applied = this.#apply(frame.state, move);
        const state = applied instanceof Promise ? await applied : applied;
        this.#checkChange(frame.state.store, state.store);
        this.#push(stack, state);
      }
    } catch (error) {
      const trace = stack.flatMap(({ state, moves, next }) =>
        next > 0 ? [this.#describe(state, moves[next - 1]!)] : [],
      );
      throw new Error(`${String(error)}\n${trace.join('\n')}`, { cause: error });
    }
    const runs = [...this.#trees, ...this.#successors.values()].reduce((sum, tree) => sum + tree.runs, 0);
    return {
      states: this.#states,
      stores: this.#stores.length,
      ends: this.#ends,
      runs,
      steps: this.#steps,
      outcomes: this.#outcomes,
    };
  }

  #push(stack: Frame[], state: State): void {
    if (!this.#isNew(state)) return;
    this.#states += 1;
    // Before the checks, so that the trace of a failure has the step that led to it.
    stack.push({ state, moves: this.#moves(state), next: 0 });
    const outcomes = this.#outcomesOf(state);
    if (outcomes.size > 0) this.#model.checkState(this.#stores[state.store]!, outcomes);
  }

  #isNew({ store, at, crashes, faults }: State): boolean {
    const group = (store * 64 + crashes) * 64 + faults;
    let seen = this.#seen.get(group);
    if (!seen) this.#seen.set(group, (seen = new Set()));
    const sizeBefore = seen.size;
    seen.add(at.reduce((packed, standing) => packed * this.#standingsMax + standing, 0));
    return seen.size > sizeBefore;
  }

  #intern(store: ModelStore): number {
    const key = storeKey(store);
    let id = this.#storeIds.get(key);
    if (id === undefined) {
      id = this.#stores.push(store) - 1;
      this.#storeIds.set(key, id);
      this.#model.checkStore(store);
    }
    return id;
  }

  #checkChange(before: number, after: number): void {
    const key = `${before} ${after}`;
    if (before === after || this.#changes.has(key)) return;
    this.#changes.add(key);
    this.#model.checkChange(this.#stores[before]!, this.#stores[after]!);
  }

  #standing(actor: number, standing: Standing): number {
    const key = `${standing.node} ${standing.left?.join(' ') ?? ''}`;
    let id = this.#standingIds[actor]!.get(key);
    if (id === undefined) {
      id = this.#standings[actor]!.push(standing) - 1;
      this.#standingIds[actor]!.set(key, id);
      if (id >= this.#standingsMax) throw new RangeError('too many standings for the model');
    }
    return id;
  }

  #nodeOf(state: State, actor: number): ActorNode | undefined {
    const standing = this.#standings[actor]![state.at[actor]!];
    return standing && this.#trees[actor]!.nodes[standing.node];
  }

  #outcomesOf(state: State): Map<string, Outcome> {
    const outcomes = new Map<string, Outcome>();
    for (const [actor, { name }] of this.#model.actors.entries()) {
      const outcome = this.#nodeOf(state, actor)?.outcome;
      if (outcome) outcomes.set(name, outcome);
    }
    return outcomes;
  }

  #isAtWork(state: State, actor: number): boolean {
    return this.#nodeOf(state, actor)?.request !== undefined;
  }

  #moves(state: State): Move[] {
    const moves: Move[] = [];
    const { crashesMax, faultsMax } = this.#bounds;
    for (const actor of this.#trees.keys()) {
      const request = this.#nodeOf(state, actor)?.request;
      if (!request) continue;
      // Nobody else looks at the object by which gc reads the clock: its order among other requests makes no difference.
      if ('key' in request && request.key.includes('/clock-')) return [{ actor, kind: 'step' }];
      // Death before a read comes to the same as death after it.
      const mayDie = request.kind === 'put' || request.kind === 'delete' || request.kind === 'wait';
      if (mayDie && state.crashes < crashesMax) moves.push({ actor, kind: 'crash' });
      if (request.kind === 'wait') {
        if (!this.#hasMark(state) || !this.#isGcAtWork(state)) moves.push({ actor, kind: 'step' });
        continue;
      }
      const keys = request.kind === 'delete' ? this.#leftOf(state, actor, request.keys) : [undefined];
      for (const key of keys) moves.push({ actor, kind: 'step', ...(key === undefined ? {} : { key }) });
      if (state.faults >= faultsMax) continue;
      moves.push({ actor, kind: 'step', fault: 'lost request' });
      if (request.kind === 'put') {
        moves.push({ actor, kind: 'step', fault: 'lost answer' });
        if (request.condition.kind !== 'none') moves.push({ actor, kind: 'step', fault: 'answer of a retry' });
      }
    }
    if (moves.length > 0 && this.#mayTimeGoOn(state)) moves.push({ actor: -1, kind: 'step' });
    return moves;
  }

  #leftOf(state: State, actor: number, keys: readonly string[]): readonly string[] {
    return this.#standings[actor]![state.at[actor]!]!.left ?? keys;
  }

  #hasMark(state: State): boolean {
    return this.#stores[state.store]!.objects.has(gcMarkKey(this.#model.ns));
  }

  #isGcAtWork(state: State): boolean {
    return this.#model.actors.some(({ name }, actor) => name === 'gc' && this.#isAtWork(state, actor));
  }

  /** Where a dead publisher's lease can only be over before gc begins. */
  #mayTimeGoOn(state: State): boolean {
    const gc = this.#model.actors.findIndex(({ name }) => name === 'gc');
    const isGcStill = gc >= 0 && this.#standings[gc]![state.at[gc]!]?.node === 0;
    const { objects, time } = this.#stores[state.store]!;
    return (
      isGcStill &&
      time < TIME_MAX &&
      this.#model.actors.some(({ seed }, actor) => {
        const lease = objects.get(this.#intentOf(seed));
        return state.at[actor] === DEAD && lease?.writtenAt === time;
      })
    );
  }

  #intentOf(seed: number): string {
    return intentKey(this.#model.ns, Buffer.alloc(8, seed).toString('hex'));
  }

  /** A lease goes by, in which whoever lives renews its own. */
  #timeGoesOn(state: State): number {
    const store = this.#stores[state.store]!;
    const live = this.#model.actors.filter((_, actor) => this.#isAtWork(state, actor));
    const later = { ...store, time: store.time + 1 };
    return this.#intern(
      touch(
        later,
        live.map(({ seed }) => this.#intentOf(seed)),
      ),
    );
  }

  #apply(state: State, move: Move): State | Promise<State> {
    const { actor, key, fault } = move;
    if (actor < 0) return { ...state, store: this.#timeGoesOn(state) };
    if (move.kind === 'crash') return { ...state, at: state.at.with(actor, DEAD), crashes: state.crashes + 1 };
    const arrive = ({ store, standing }: Effect): State => ({
      ...state,
      store,
      at: state.at.with(actor, standing),
      faults: state.faults + (fault ? 1 : 0),
    });
    const { node } = this.#standings[actor]![state.at[actor]!]!;
    const isLate = this.#trees[actor]!.nodes[node]!.request!.kind === 'wait' && this.#hasMark(state);
    if (isLate)
      return this.#answer(actor, node, { store: this.#timeGoesOn(state), answer: { kind: 'late' } }).then(arrive);
    const memo = `${state.store} ${actor} ${state.at[actor]} ${fault ?? ''} ${key ?? ''}`;
    const known = this.#effects.get(memo);
    if (known) return arrive(known);
    return this.#carryOut(state, move).then((effect) => {
      this.#effects.set(memo, effect);
      this.#steps.add(this.#describe(state, move));
      return arrive(effect);
    });
  }

  async #carryOut(state: State, { actor, key, fault }: Move): Promise<Effect> {
    const { node, left: before } = this.#standings[actor]![state.at[actor]!]!;
    const request = this.#trees[actor]!.nodes[node]!.request!;
    if (fault === 'lost request') return this.#answer(actor, node, { store: state.store, answer: UNAVAILABLE });
    const asked = key === undefined ? request : ({ kind: 'delete', keys: [key] } as const);
    const done = carryOut(this.#stores[state.store]!, asked);
    const store = this.#intern(done.store);
    if (request.kind === 'delete') {
      const left = (before ?? request.keys).filter((other) => other !== key);
      if (left.length > 0) return { store, standing: this.#standing(actor, { node, left }) };
    }
    const answers = { 'lost answer': UNAVAILABLE, 'answer of a retry': REFUSED };
    return this.#answer(actor, node, { store, answer: fault ? answers[fault] : done.answer });
  }

  async #answer(actor: number, node: number, result: { store: number; answer: Answer }): Promise<Effect> {
    const next = await this.#trees[actor]!.next(node, result.answer);
    const { outcome } = this.#trees[actor]!.nodes[next]!;
    const { name } = this.#model.actors[actor]!;
    if (outcome) this.#outcomes.add(`${name}: ${outcome.kind === 'done' ? 'done' : String(outcome.error.code)}`);
    return { store: result.store, standing: this.#standing(actor, { node: next, left: undefined }) };
  }

  #describe(state: State, { actor, kind, key, fault }: Move): string {
    if (actor < 0) return 'a lease goes by';
    const { name } = this.#model.actors[actor]!;
    if (kind === 'crash') return `${name}: dies`;
    const { request } = this.#nodeOf(state, actor)!;
    const text = key === undefined ? describeRequest(request!) : `delete ${key}`;
    return `${name}: ${text.replace(/[0-9a-f]{64}/g, '#')}${fault ? ` (${fault})` : ''}`;
  }

  /** Nobody is at work: whoever comes a lease later is not held up. */
  async #end(state: State): Promise<void> {
    this.#ends += 1;
    for (const actor of this.#trees.keys()) {
      if (this.#isAtWork(state, actor)) throw new Error(`${this.#model.actors[actor]!.name} waits for ever`);
    }
    if (this.#checkedEnds.has(state.store)) return;
    this.#checkedEnds.add(state.store);
    const end = this.#stores[state.store]!;
    let store: ModelStore = { ...end, time: end.time + 1 };
    const outcomes = this.#outcomesOf(state);
    for (const actor of this.#model.successors) {
      const tree = await this.#successorTree(actor, store.time);
      let id = 0;
      for (let node = tree.nodes[id]!; node.request; node = tree.nodes[id]!) {
        const done = carryOut(store, node.request);
        this.#checkChange(this.#intern(store), this.#intern(done.store));
        store = done.store;
        id = await tree.next(id, node.request.kind === 'wait' ? { kind: 'late' } : done.answer);
      }
      const outcome = tree.nodes[id]!.outcome!;
      if (outcome.kind === 'failed') throw new Error(`${actor.name} is held up: ${outcome.error.message}`);
      this.#model.checkState(store, outcomes.set(actor.name, outcome));
    }
  }

  async #successorTree(actor: Actor, time: number): Promise<ActorTree> {
    const key = `${actor.name} ${time}`;
    let tree = this.#successors.get(key);
    if (!tree) this.#successors.set(key, (tree = await new ActorTree(actor, time).open()));
    return tree;
  }
}

/** @throws Error with the steps that led to the first state that breaks a rule */
export function explore(model: Model, bounds: Bounds): Promise<Exploration> {
  return new Explorer(model, bounds).run();
}
