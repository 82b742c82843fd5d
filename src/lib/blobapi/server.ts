// The HTTP server: connections, limits, routing, accounting and the orderly end. It answers nothing by itself; the
// endpoints are in routes.ts.
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { SeekfsError } from '../base/errors.ts';
import { ActiveExchanges } from './active-exchanges.ts';
import { Accounting, DEFAULT_REQUEST_LOG, type RequestLog } from './accounting.ts';
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { Reader } from '../read/reader.ts';
import { isLoopback } from '../config/listen.ts';
import { Admission, checkHead } from './admission.ts';
import { Activity } from './activity.ts';
import { answerClientError, answerError, answerLate, publicError } from './answer-error.ts';
import { Cors } from './cors.ts';
import type { BlobApiDeps } from './deps.ts';
import { Exchange, type RequestHead, type ResponseSink } from './exchange.ts';
import { HintQueue } from './hints.ts';
import { cannotListen, createHttpServer, type TlsFiles } from './http-server.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import { Query } from './query.ts';
import { readQuickly, type QuickConnections } from './quick-connections.ts';
import { Readiness } from './readiness.ts';
import { HeldAllowance } from './readv.ts';
import { Refusal } from './refusal.ts';
import { findRoute, namespaceOf, type Service } from './routes.ts';
import { SlowClients } from './slow-clients.ts';
import type { Tokens } from './tokens.ts';
import type { Snapshot } from './snapshot.ts';
import { statusOf } from './status.ts';
import { CurrentVersions, VersionPool } from './versions.ts';
import { linkToPrimary, type WorkerLink } from './workers.ts';

/** What can change while the server runs. */
export interface Credentials {
  readonly tokens?: Tokens | undefined;
  readonly tls?: TlsFiles | undefined;
}

export interface ServerOptions extends Credentials {
  readonly listen: { readonly host: string; readonly port: number };
  /** Answer everybody on an address that others reach. */
  readonly insecure?: boolean | undefined;
  readonly limits?: Partial<Limits> | undefined;
  /** Origins whose pages may read answers; "*" for all. */
  readonly corsOrigins?: readonly string[] | undefined;
  readonly requestLog?: Partial<RequestLog> | undefined;
  /** False: node:http reads all requests, also the simple ones. */
  readonly quick?: boolean | undefined;
  /** Where this process is one of several: what the primary may ask of it. */
  readonly group?: { readonly onDrain: () => void; readonly onReload: () => void } | undefined;
}

export interface BlobServer {
  /** "http://127.0.0.1:7070". */
  readonly url: string;
  /** Takes new tokens and a new certificate for what comes from now on. Whether there is TLS does not change. */
  reload(credentials: Credentials): void;
  /**
   * Stops accepting, lets what runs finish for `drainMsMax`, breaks off the rest, and gives everything back.
   * The first call decides; later ones wait for it.
   */
  close(options?: { drainMsMax?: number }): Promise<void>;
}

const DRAIN_MS_MAX = 10_000;
/** How long work that was told to stop may take to do so. */
const LATE_MS_MAX = 500;
/** Files of a snapshot. */
const ACTIVITY_MAX = 200;

/**
 * @throws usage when the address is others' to reach and there are no tokens, or cannot be listened on;
 * config_invalid when the certificate and key do not fit, or an origin is none
 */
export async function startServer(deps: BlobApiDeps, options: ServerOptions): Promise<BlobServer> {
  refuseOpenAddress(options);
  const cors = new Cors(options.corsOrigins ?? []);
  if (cors.allowsAll && !options.tokens && options.insecure !== true) {
    throw new SeekfsError(
      'usage',
      'api.cors_origins = "*" lets every page in a browser read all that is here: list origins, or give --tokens FILE',
    );
  }
  const api = new BlobApi(deps, options, cors);
  await api.listen(options.listen);
  return api;
}

/** @throws usage when the address is others' to reach and nothing says who may ask */
export function refuseOpenAddress({ listen, tokens, insecure }: ServerOptions): void {
  if (isLoopback(listen.host) || tokens || insecure) return;
  throw new SeekfsError(
    'usage',
    `${listen.host} can be reached by others: give --tokens FILE, or --insecure to answer everybody, or listen on 127.0.0.1`,
  );
}

/** What a client may call its request; anything else gets an id of ours. */
const REQUEST_ID = /^[\w.:-]{1,64}$/;

class BlobApi implements BlobServer {
  readonly #deps: BlobApiDeps;
  readonly #cors: Cors;
  readonly #limits: Limits;
  readonly #service: Service;
  readonly #server: Server | TlsServer;
  readonly #admission: Admission;
  readonly #accounting: Accounting;
  readonly #slowClients: SlowClients;
  #quick: QuickConnections | undefined;
  readonly #active = new ActiveExchanges();
  readonly #idPrefix = randomBytes(3).toString('hex');
  readonly #isTls: boolean;
  readonly #link: WorkerLink | undefined;
  #reader: Reader | undefined;
  #url = '';
  #closing: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;
  #requests = 0;

  constructor(deps: BlobApiDeps, options: ServerOptions, cors: Cors) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { metrics, log, clock, memory } = deps;
    this.#deps = deps;
    this.#cors = cors;
    this.#limits = limits;
    this.#isTls = options.tls !== undefined;
    this.#server = createHttpServer(limits, options.tls, (request, response) => this.#onRequest(request, response));
    this.#server.on('clientError', (error, socket) => {
      const isAnswering = [...this.#active].some((exchange) => exchange.request.socket === socket);
      answerClientError(error, socket as Socket, isAnswering);
    });
    if (options.quick !== false && !options.tls) {
      this.#quick = readQuickly(this.#server, {
        limits,
        clock,
        onRequest: (request, response) => this.#onRequest(request, response),
        onLate: answerLate,
      });
    }
    this.#admission = new Admission(limits, metrics, options.tokens);
    const requestLog = { ...DEFAULT_REQUEST_LOG, ...options.requestLog };
    const { pricePer1000Gets } = deps.bounds;
    const active = (): number => this.#active.size;
    this.#accounting = new Accounting({ metrics, log, clock, memory, requestLog, pricePer1000Gets, active });
    this.#server.on('connection', (socket: Socket) => {
      this.#accounting.connected();
      socket.once('close', () => this.#accounting.disconnected());
    });
    this.#slowClients = new SlowClients({
      active: this.#active,
      memory,
      clock,
      limits,
      onBreak: () => this.#accounting.brokenOff('stall'),
    });
    this.#service = {
      limits,
      versions: new VersionPool({
        head: (ns) => deps.head(ns),
        pin: (ns, selector) => deps.pin(ns, selector),
        clock,
        ...limits,
      }),
      reader: () => this.#reader ?? this.#openReader(),
      held: new HeldAllowance(memory),
      memory,
      readiness: new Readiness((signal) => deps.readiness(signal), clock),
      hints: new HintQueue({ reader: () => deps.reader(), metrics, log, clock }),
      activity: new Activity(),
      headObject: (key, signal) => deps.headObject(key, signal),
      status: () => this.#status(),
      siblings: () => this.#siblings(),
    };
    const { group } = options;
    this.#link = group && linkToPrimary({ ...group, answer: async () => this.#snapshot() });
  }

  async #openReader(): Promise<Reader> {
    return (this.#reader = await this.#deps.reader());
  }

  /** What this process has counted and seen, as plain JSON. */
  #snapshot(): Snapshot {
    const { versions, activity } = this.#service;
    return {
      samples: this.#deps.metrics.samples(),
      activity: activity.top(ACTIVITY_MAX),
      errors: this.#accounting.recentErrors,
      versions: versions.current().map(({ ns, version, digest, fileCount, totalBytes }) => ({
        ns,
        version,
        digest,
        files: fileCount,
        bytes: totalBytes,
      })),
    };
  }

  /** The snapshots of all workers, or of this process where it is alone. */
  async #siblings(): Promise<Snapshot[]> {
    return this.#link ? ((await this.#link.collect()) as Snapshot[]) : [this.#snapshot()];
  }

  async #status(): Promise<unknown> {
    const versions = new CurrentVersions(this.#service.versions);
    const { bounds, clock } = this.#deps;
    try {
      return await statusOf(await this.#siblings(), {
        bounds,
        reader: this.#service.reader,
        current: (ns) => versions.find(ns),
        nowMs: () => clock.nowMs(),
      });
    } finally {
      versions.release();
    }
  }

  get url(): string {
    return this.#url;
  }

  listen({ host, port }: { host: string; port: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => {
        this.#stop();
        reject(cannotListen(`${host}:${port}`, error));
      });
      this.#server.listen({ host, port }, () => {
        const address = this.#server.address() as AddressInfo;
        const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
        this.#url = `${this.#isTls ? 'https' : 'http'}://${name}:${address.port}`;
        resolve();
      });
    });
  }

  reload({ tokens, tls }: Credentials): void {
    if (tls && 'setSecureContext' in this.#server)
      this.#server.setSecureContext({ cert: tls.certPem, key: tls.keyPem });
    // Without tokens the server would answer everybody from now on: that takes a restart.
    if (tokens && this.#admission.tokens) this.#admission.tokens = tokens;
  }

  #onRequest(request: RequestHead, response: ResponseSink): void {
    const { clock } = this.#deps;
    const exchange = new Exchange({
      request,
      response,
      id: this.#requestId(request),
      client: request.socket.remoteAddress ?? 'gone',
      startedMs: clock.monotonicMs(),
      clock,
    });
    exchange.commonFields = this.#cors.fields(request);
    this.#active.add(exchange);
    if (this.#closing) response.shouldKeepAlive = false;
    response.on('close', () => this.#onClose(exchange));
    let answered: MaybePromise<void>;
    try {
      answered = this.#answer(exchange);
    } catch (error) {
      this.#onFailed(exchange, error);
      return;
    }
    if (!(answered instanceof Promise)) this.#leave(exchange);
    else {
      answered.then(
        () => this.#leave(exchange),
        (error: unknown) => this.#onFailed(exchange, error),
      );
    }
  }

  #onFailed(exchange: Exchange, error: unknown): void {
    this.#onError(exchange, error);
    this.#leave(exchange);
  }

  #requestId(request: RequestHead): string {
    const given = request.headers['x-request-id'];
    if (typeof given === 'string' && REQUEST_ID.test(given)) return given;
    this.#requests += 1;
    return `${this.#idPrefix}-${this.#requests.toString(36)}`;
  }

  #answer(exchange: Exchange): MaybePromise<void> {
    this.#admission.enter(exchange.client);
    checkHead(exchange.request);
    const { url = '/', method } = exchange.request;
    if (url.length > this.#limits.urlBytesMax) {
      throw new Refusal('usage', `the URL is longer than ${this.#limits.urlBytesMax} bytes`, { status: 414 });
    }
    this.#admission.checkBrowser(exchange, this.#cors);
    const preflight = this.#cors.preflight(exchange.request);
    if (preflight) {
      exchange.route = 'preflight';
      exchange.head(204, preflight);
      exchange.response.end();
      return undefined;
    }
    const mark = url.indexOf('?');
    const route = findRoute(mark === -1 ? url : url.slice(0, mark), method);
    exchange.route = route.name;
    const query = new Query(mark === -1 ? '' : url.slice(mark + 1), route.parameters);
    if (route.access === 'all') this.#admission.authorize(exchange, undefined);
    if (route.access === 'namespace') this.#admission.authorize(exchange, namespaceOf(query));
    return route.answer(exchange, query, this.#service);
  }

  #onError(exchange: Exchange, error: unknown): void {
    this.#accounting.failed(exchange, publicError(error, exchange.id));
    if (exchange.response.headersSent && !exchange.response.destroyed) this.#accounting.brokenOff('error');
    answerError(exchange, error, this.#deps.log);
  }

  #onClose(exchange: Exchange): void {
    if (exchange.closed() === 'client') this.#accounting.brokenOff('client');
    this.#accounting.finished(exchange);
    this.#leave(exchange);
  }

  /** A request is over when its answer is, and the work for it too, in whichever order. */
  #leave(exchange: Exchange): void {
    exchange.pending -= 1;
    if (exchange.pending > 0) return;
    this.#active.remove(exchange);
    this.#admission.leave(exchange.client);
    if (this.#active.size === 0) this.#onIdle?.();
  }

  close(options: { drainMsMax?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.drainMsMax ?? DRAIN_MS_MAX);
    return this.#closing;
  }

  async #close(drainMsMax: number): Promise<void> {
    this.#service.readiness.drain();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const { response } of this.#active) response.shouldKeepAlive = false;
    this.#server.closeIdleConnections();
    this.#quick?.drain();
    const deadline = setTimeout(() => {
      const reason = new SeekfsError('interrupted', 'the server is shutting down');
      for (const exchange of this.#active) {
        this.#accounting.brokenOff('shutdown');
        exchange.breakOff(reason);
      }
      this.#server.closeAllConnections();
      this.#quick?.close();
    }, drainMsMax);
    await closed;
    clearTimeout(deadline);
    await this.#service.hints.close();
    // Sockets are gone before their answers are told so, and the work for those may still hold slabs.
    if (this.#active.size > 0) {
      await new Promise<void>((resolve) => {
        const late = setTimeout(resolve, LATE_MS_MAX);
        this.#onIdle = () => {
          clearTimeout(late);
          resolve();
        };
      });
    }
    this.#stop();
  }

  #stop(): void {
    this.#quick?.close();
    this.#link?.close();
    this.#slowClients.close();
    this.#accounting.close();
    this.#service.versions.close();
  }
}
