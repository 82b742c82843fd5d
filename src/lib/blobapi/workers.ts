// Several server processes on one listening address: the primary forks them, replaces the dead ones, passes on what is
// asked of all, and ends them. It serves nothing itself. Knows nothing of what the workers answer.
import cluster, { type Worker } from 'node:cluster';
import type { Logger } from '../base/log.ts';

interface ToWorker {
  readonly kind: 'ask' | 'answers';
  readonly id: number;
  readonly answers: unknown[];
}
type ToPrimary = { readonly kind: 'collect' | 'answer'; readonly id: number; readonly answer: unknown };

/** Of a sibling that does not answer in this time only what remains of its last answer is given. */
const COLLECT_MS_MAX = 1000;
const RESPAWN_MS_MIN = 100;
const RESPAWN_MS_MAX = 5000;
/** A worker that lived so long did not fail at its start. */
const HEALTHY_MS = 10_000;

export interface WorkersOptions {
  readonly count: number;
  /** What a worker runs, with its arguments. */
  readonly exec: string;
  readonly args: readonly string[];
  /** Environment variables on top of this process's. */
  readonly env: Readonly<Record<string, string>>;
  readonly log: Logger;
  /** What stays of the last answers of workers that are dead or stand still: one answer for all of them. */
  readonly remainsOf: (answers: readonly unknown[]) => unknown;
  /** Called once, when all of them listen. */
  readonly onListening: (port: number) => void;
  /** Aborted: the workers drain, for at most `drainMsMax`, and the run ends. */
  readonly signal: AbortSignal;
  readonly drainMsMax: number;
}

export interface Workers {
  /** Resolves when all of them have ended: 0, or the exit status of the one that could not start. */
  readonly ended: Promise<number>;
  reload(): void;
}

export function runWorkers(options: WorkersOptions): Workers {
  const supervisor = new Supervisor(options);
  return { ended: supervisor.run(), reload: () => supervisor.signal('SIGHUP') };
}

interface Collection {
  readonly waitsFor: Set<Worker>;
  readonly finish: () => void;
}

class Supervisor {
  readonly #options: WorkersOptions;
  readonly #workers = new Set<Worker>();
  readonly #listening = new Set<Worker>();
  readonly #collections = new Map<number, Collection>();
  readonly #lastAnswers = new Map<Worker, unknown>();
  /** Of the dead: counters must never go back, or whoever reads them takes it for a new beginning. */
  #remains: unknown[] = [];
  #hasListened = false;
  #stopping = false;
  #quickDeaths = 0;
  #lastId = 0;
  #end: (status: number) => void = () => undefined;

  constructor(options: WorkersOptions) {
    this.#options = options;
  }

  async run(): Promise<number> {
    const { count, exec, args, signal } = this.#options;
    // Each worker accepts for itself. The alternative, the primary handing connections over, loses one now and then when
    // a worker dies (Node 20), and its client waits for ever.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({ exec, args: [...args] });
    const ended = new Promise<number>((resolve) => (this.#end = resolve));
    const stop = (): void => this.#stop();
    signal.addEventListener('abort', stop, { once: true });
    for (let index = 0; index < count; index += 1) this.#fork();
    if (signal.aborted) stop();
    try {
      return await ended;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Signals, because the channel to a worker can stand behind a connection that is being handed over. */
  signal(name: 'SIGHUP' | 'SIGUSR2' | 'SIGKILL'): void {
    for (const worker of this.#workers) worker.process.kill(name);
  }

  #fork(): void {
    const startedMs = performance.now();
    const worker = cluster.fork(this.#options.env);
    this.#workers.add(worker);
    worker.on('listening', ({ port }) => this.#onListening(worker, port));
    worker.on('message', (message: ToPrimary) => this.#onMessage(worker, message));
    worker.on('error', () => undefined);
    worker.on('exit', (status, signal) =>
      this.#onExit(worker, { status, signal, livedMs: performance.now() - startedMs }),
    );
  }

  #onListening(worker: Worker, port: number): void {
    this.#listening.add(worker);
    if (this.#hasListened || this.#listening.size < this.#options.count) return;
    this.#hasListened = true;
    this.#options.onListening(port);
  }

  #onExit(worker: Worker, death: { status: number | null; signal: string | null; livedMs: number }): void {
    this.#workers.delete(worker);
    const didListen = this.#listening.delete(worker);
    this.#bury(worker);
    if (this.#stopping) {
      if (this.#workers.size === 0) this.#end(0);
      return;
    }
    const { status, signal, livedMs } = death;
    if (!this.#hasListened && !didListen) {
      // What one cannot do, none can: the first has said why.
      this.#stopping = true;
      this.signal('SIGKILL');
      this.#end(status ?? 1);
      return;
    }
    this.#quickDeaths = livedMs < HEALTHY_MS ? this.#quickDeaths + 1 : 0;
    const delayMs = Math.min(RESPAWN_MS_MAX, RESPAWN_MS_MIN * 2 ** (this.#quickDeaths - 1));
    this.#options.log.log('error', 'a worker died and is replaced', {
      pid: worker.process.pid ?? 0,
      status: status ?? -1,
      signal: signal ?? '',
      delay_ms: Math.round(delayMs),
    });
    setTimeout(() => {
      if (!this.#stopping) this.#fork();
    }, delayMs);
  }

  #bury(worker: Worker): void {
    const last = this.#lastAnswers.get(worker);
    if (last !== undefined) this.#remains = [this.#options.remainsOf([...this.#remains, last])];
    this.#lastAnswers.delete(worker);
    for (const collection of this.#collections.values()) answered(collection, worker);
  }

  #onMessage(worker: Worker, message: ToPrimary): void {
    if (message.kind === 'answer') {
      this.#lastAnswers.set(worker, message.answer);
      const collection = this.#collections.get(message.id);
      if (collection) answered(collection, worker);
    } else if (message.kind === 'collect') this.#collect(worker, message.id);
  }

  /** Asks every worker and gives all answers to the one that wanted them. */
  #collect(asker: Worker, askerId: number): void {
    const id = (this.#lastId += 1);
    const waitsFor = new Set(this.#listening);
    const finish = (): void => {
      clearTimeout(late);
      this.#collections.delete(id);
      const silent = [...waitsFor].flatMap((worker) => this.#lastAnswers.get(worker) ?? []);
      const fresh = [...this.#lastAnswers].filter(([worker]) => !waitsFor.has(worker)).map(([, answer]) => answer);
      const gone = [...this.#remains, ...silent];
      const answers = gone.length === 0 ? fresh : [...fresh, this.#options.remainsOf(gone)];
      if (asker.isConnected()) asker.send({ kind: 'answers', id: askerId, answers } satisfies ToWorker);
    };
    const late = setTimeout(finish, COLLECT_MS_MAX);
    this.#collections.set(id, { waitsFor, finish });
    for (const worker of this.#workers)
      if (worker.isConnected()) worker.send({ kind: 'ask', id, answers: [] } satisfies ToWorker);
  }

  #stop(): void {
    this.#stopping = true;
    if (this.#workers.size === 0) this.#end(0);
    this.signal('SIGUSR2');
    setTimeout(() => this.signal('SIGKILL'), this.#options.drainMsMax).unref();
  }
}

function answered({ waitsFor, finish }: Collection, worker: Worker): void {
  if (waitsFor.delete(worker) && waitsFor.size === 0) finish();
}

export interface WorkerLink {
  /** The answers of all workers, this one's among them, and what remains of those that died. */
  collect(): Promise<unknown[]>;
  close(): void;
}

/** The worker's end. `answer` says what this worker knows; `undefined` where the process is no worker. */
export function linkToPrimary(calls: {
  answer: () => Promise<unknown>;
  onDrain: () => void;
  onReload: () => void;
}): WorkerLink | undefined {
  if (!cluster.isWorker) return undefined;
  const collections = new Map<number, (answers: unknown[]) => void>();
  let lastId = 0;
  const send = (message: ToPrimary): void => {
    if (process.connected) process.send?.(message);
  };
  const onMessage = (message: ToWorker): void => {
    if (message.kind === 'answers') {
      collections.get(message.id)?.(message.answers);
      return;
    }
    calls.answer().then(
      (answer) => send({ kind: 'answer', id: message.id, answer }),
      () => undefined,
    );
  };
  // Ctrl-C reaches workers too: a drain that is asked for twice is one, where a second SIGTERM would cut it short.
  process.on('SIGUSR2', calls.onDrain);
  process.on('SIGHUP', calls.onReload);
  process.on('message', onMessage);
  return {
    collect: () =>
      new Promise((resolve) => {
        const id = (lastId += 1);
        const finish = (answers: unknown[]): void => {
          clearTimeout(late);
          collections.delete(id);
          resolve(answers);
        };
        // A primary that is gone answers nothing.
        const late = setTimeout(finish, 2 * COLLECT_MS_MAX, []);
        collections.set(id, finish);
        send({ kind: 'collect', id, answer: undefined });
      }),
    close: () => process.off('message', onMessage),
  };
}

/** Is this process one of several? */
export function isWorker(): boolean {
  return cluster.isWorker;
}
