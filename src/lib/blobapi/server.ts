// The HTTP server: connections, limits, routing, accounting and the orderly end. It answers nothing by itself; the
// endpoints are in routes.ts.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { SeekfsError } from '../base/errors.ts';
import { answerError } from './answer-error.ts';
import type { BlobApiDeps } from './deps.ts';
import { Exchange } from './exchange.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import { Query } from './query.ts';
import { Readiness } from './readiness.ts';
import { HeldAllowance } from './readv.ts';
import { Refusal } from './refusal.ts';
import { ROUTES, type Route, type Service } from './routes.ts';
import { VersionPool } from './versions.ts';

export interface ServerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly limits?: Partial<Limits> | undefined;
}

export interface BlobServer {
  /** "http://127.0.0.1:7070". */
  readonly url: string;
  /**
   * Stops accepting, lets what runs finish for `drainMsMax`, breaks off the rest, and gives everything back.
   * The first call decides; later ones wait for it.
   */
  close(options?: { drainMsMax?: number }): Promise<void>;
}

const DRAIN_MS_MAX = 10_000;
const SWEEP_MS = 1000;

/** @throws usage when the address cannot be listened on */
export async function startServer(deps: BlobApiDeps, options: ServerOptions): Promise<BlobServer> {
  const api = new BlobApi(deps, { ...DEFAULT_LIMITS, ...options.limits });
  await api.listen(options.listen);
  return api;
}

const ROUTES_BY_PATH: ReadonlyMap<string, readonly Route[]> = new Map(
  ROUTES.map((route) => [route.path, ROUTES.filter(({ path }) => path === route.path)]),
);

class BlobApi implements BlobServer {
  readonly #deps: BlobApiDeps;
  readonly #limits: Limits;
  readonly #service: Service;
  readonly #server;
  readonly #active = new Set<Exchange>();
  #url = '';
  #closing: Promise<void> | undefined;
  #requests = 0;

  constructor(deps: BlobApiDeps, limits: Limits) {
    this.#deps = deps;
    this.#limits = limits;
    this.#service = {
      limits,
      versions: new VersionPool({
        head: (ns) => deps.head(ns),
        pin: (ns, selector) => deps.pin(ns, selector),
        clock: deps.clock,
        ...limits,
      }),
      reader: () => deps.reader(),
      memory: deps.memory,
      held: new HeldAllowance(deps.memory),
      metrics: deps.metrics,
      readiness: new Readiness((signal) => deps.readiness(signal), deps.clock),
      samples: async () => deps.metrics.samples(),
    };
    this.#server = createServer({
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headMsMax,
      requestTimeout: limits.bodyMsMax,
      keepAliveTimeout: limits.idleMsMax,
      connectionsCheckingInterval: Math.min(5000, limits.headMsMax),
    });
    this.#server.maxConnections = limits.connectionsMax;
    this.#server.on('request', (request, response) => this.#onRequest(request, response));
    this.#server.on('clientError', (error, socket) => {
      // In the middle of an answer nothing can be said any more.
      const isAnswering = [...this.#active].some((exchange) => exchange.request.socket === socket);
      answerClientError(error, socket as Socket, isAnswering);
    });
  }

  get url(): string {
    return this.#url;
  }

  listen({ host, port }: { host: string; port: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => {
        reject(new SeekfsError('usage', `cannot listen on ${host}:${port}: ${error.message}`, { cause: error }));
      });
      this.#server.listen({ host, port }, () => {
        const address = this.#server.address() as AddressInfo;
        const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
        this.#url = `http://${name}:${address.port}`;
        resolve();
      });
    });
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { clock } = this.#deps;
    this.#requests += 1;
    const exchange = new Exchange({
      request,
      response,
      id: this.#requests.toString(36),
      startedMs: clock.monotonicMs(),
      now: () => clock.monotonicMs(),
    });
    this.#active.add(exchange);
    response.on('close', () => {
      this.#active.delete(exchange);
      exchange.closed();
    });
    this.#answer(exchange).catch((error: unknown) => answerError(exchange, error, this.#deps.log));
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { url = '/' } = exchange.request;
    if (url.length > this.#limits.urlBytesMax) {
      throw new Refusal('usage', `the URL is longer than ${this.#limits.urlBytesMax} bytes`, { status: 414 });
    }
    const mark = url.indexOf('?');
    const route = findRoute(mark === -1 ? url : url.slice(0, mark), exchange.request.method);
    const query = new Query(mark === -1 ? '' : url.slice(mark + 1), route.parameters);
    await route.answer(exchange, query, this.#service);
  }

  close(options: { drainMsMax?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.drainMsMax ?? DRAIN_MS_MAX);
    return this.#closing;
  }

  async #close(drainMsMax: number): Promise<void> {
    this.#service.readiness.drain();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const deadline = setTimeout(() => {
      const reason = new SeekfsError('interrupted', 'the server is shutting down');
      for (const exchange of this.#active) exchange.breakOff(reason);
      this.#server.closeAllConnections();
    }, drainMsMax);
    await closed;
    clearTimeout(deadline);
    this.#service.versions.close();
  }
}

function findRoute(path: string, method = 'GET'): Route {
  const routes = ROUTES_BY_PATH.get(path);
  if (!routes) {
    throw new Refusal('usage', `there is no endpoint ${path.slice(0, 80)}; see /openapi.json`, { status: 404 });
  }
  const route = routes.find((candidate) => candidate.method === (method === 'HEAD' ? 'GET' : method));
  if (route) return route;
  const allowed = routes.flatMap((candidate) => (candidate.method === 'GET' ? ['GET', 'HEAD'] : [candidate.method]));
  const headers = { Allow: allowed.join(', '), Connection: 'close' };
  throw new Refusal('usage', `${path} takes ${allowed.join(', ')}, not ${method}`, { status: 405, headers });
}

const CLIENT_ERRORS: Readonly<Record<string, { status: string; message: string }>> = {
  HPE_HEADER_OVERFLOW: { status: '431 Request Header Fields Too Large', message: 'the header is too large' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: '408 Request Timeout', message: 'the request did not arrive in time' },
};

/** What the parser refused: there is no exchange yet, or the rest of its body is malformed. */
function answerClientError(error: Error & { code?: string }, socket: Socket, isAnswering: boolean): void {
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering) {
    socket.destroy();
    return;
  }
  const { status, message } = CLIENT_ERRORS[error.code ?? ''] ?? {
    status: '400 Bad Request',
    message: 'the request is not HTTP/1.1',
  };
  const body = `${JSON.stringify(new SeekfsError('usage', message))}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  // Whoever does not read this either is cut off.
  setTimeout(() => socket.destroy(), SWEEP_MS).unref();
}
