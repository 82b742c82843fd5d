// GETs and head requests over plain HTTP, for the `undici` engine: a pool of connections that all receive into one
// buffer, over and over. (Node otherwise takes fresh memory for every read of a socket, and what a client of the whole of HTTP
// does besides takes as long again.) One origin; no bodies of requests, no redirects, no TLS, no proxies: those are undici's.
import { connect, type Socket } from 'node:net';
import { KIB } from '../base/units.ts';
import { AnswerParser, HttpError, type AnswerHead, type AnswerSink } from './http-answer.ts';
import type { S3Timeouts } from './s3-options.ts';

const BUFFER_BYTES = 256 * KIB;
/** At most; the store may say that it closes sooner. */
const IDLE_MS_MAX = 10_000;
/** So much sooner than the store does it an idle connection is closed, lest a request meets the end of it. */
const IDLE_MARGIN_MS = 1000;
const TCP_KEEP_ALIVE_MS = 60_000;

export interface GetRequest {
  readonly origin: string;
  /** With the query; escaped. */
  readonly path: string;
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  /** The connection ends with the answer. */
  readonly reset?: boolean;
}

/** What a handler does with a request under way; nothing once it is over. */
export interface GetControl {
  /** What one read brought is delivered all the same, in pieces where it was in pieces. */
  pause(): void;
  resume(): void;
  abort(reason: Error): void;
}

/** By their names in lower case; undici keeps the values of a name that comes several times apart. */
export type ResponseFields = Readonly<Record<string, string | string[] | undefined>>;

/** As undici has it. Ends with `onResponseEnd` or `onResponseError`, one of them, once. */
export interface GetHandler {
  onRequestStart(control: GetControl, context: unknown): void;
  onResponseStart(control: GetControl, status: number, fields: ResponseFields): void;
  /** `chunk` is only there until this returns: the next read of any connection overwrites it. */
  onResponseData(control: GetControl, chunk: Buffer): void;
  onResponseEnd(control: GetControl, trailers: ResponseFields): void;
  onResponseError(control: GetControl, error: Error): void;
}

export interface GetDispatcher {
  dispatch(request: GetRequest, handler: GetHandler): unknown;
  /** Breaks off what is under way. */
  destroy(): Promise<void>;
}

export interface PlainHttpOptions {
  readonly connectionsMax: number;
  readonly timeouts: S3Timeouts;
}

export class PlainHttp implements GetDispatcher {
  readonly #options: PlainHttpOptions;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  readonly #open = new Set<Connection>();
  readonly #idle: Connection[] = [];
  readonly #waiting = new Set<Exchange>();
  #destroyed = false;

  constructor(options: PlainHttpOptions) {
    this.#options = options;
  }

  dispatch(request: GetRequest, handler: GetHandler): void {
    const exchange = new Exchange(request, handler, this.#waiting);
    handler.onRequestStart(exchange, {});
    if (this.#destroyed) exchange.fail(closed());
    else if (!isSendable(request)) exchange.fail(new HttpError('ERR_HTTP_REQUEST', 'a field that cannot be sent'));
    if (exchange.over) return;
    // While others wait there is none.
    const connection = this.#connection(request.origin);
    if (connection) connection.send(exchange);
    else this.#waiting.add(exchange);
  }

  async destroy(): Promise<void> {
    this.#destroyed = true;
    for (const exchange of this.#waiting) exchange.fail(closed());
    for (const connection of this.#open) connection.destroy(closed());
  }

  #pump(): void {
    for (const exchange of this.#waiting) {
      const connection = this.#connection(exchange.request.origin);
      if (!connection) return;
      this.#waiting.delete(exchange);
      connection.send(exchange);
    }
  }

  #connection(origin: string): Connection | undefined {
    // The one that was used last: others may have been idle for too long.
    const idle = this.#idle.pop();
    if (idle || this.#open.size >= this.#options.connectionsMax) return idle;
    const connection: Connection = new Connection(origin, this.#buffer, {
      ...this.#options.timeouts,
      onFree: () => {
        this.#idle.push(connection);
        this.#pump();
      },
      onGone: () => {
        this.#open.delete(connection);
        const at = this.#idle.indexOf(connection);
        if (at >= 0) this.#idle.splice(at, 1);
        this.#pump();
      },
    });
    this.#open.add(connection);
    return connection;
  }
}

/** An ETag may come from a manifest, and that from anybody. */
function isSendable({ path, headers }: GetRequest): boolean {
  return (
    /^[\x21-\x7e]+$/.test(path) && Object.values(headers).every((value) => /^[\t\x20-\x7e\x80-\xff]*$/.test(value))
  );
}

function closed(): HttpError {
  return new HttpError('ERR_CLIENT_CLOSED', 'the store was closed');
}

/** One request and its answer. */
class Exchange implements GetControl {
  readonly request: GetRequest;
  readonly #handler: GetHandler;
  /** It is one of them while no connection has it. */
  readonly #waiting: Set<Exchange>;
  connection: Connection | undefined;
  over = false;

  constructor(request: GetRequest, handler: GetHandler, waiting: Set<Exchange>) {
    this.request = request;
    this.#handler = handler;
    this.#waiting = waiting;
  }

  pause(): void {
    if (!this.over) this.connection?.pause();
  }

  resume(): void {
    if (!this.over) this.connection?.resume();
  }

  abort(reason: Error): void {
    this.fail(reason);
  }

  start({ status, fields }: AnswerHead): void {
    this.#handler.onResponseStart(this, status, fields);
  }

  data(chunk: Buffer): void {
    this.#handler.onResponseData(this, chunk);
  }

  end(): void {
    if (this.over) return;
    this.over = true;
    this.#handler.onResponseEnd(this, {});
  }

  fail(error: Error): void {
    if (this.over) return;
    this.over = true;
    this.#waiting.delete(this);
    this.connection?.destroy(error);
    this.#handler.onResponseError(this, error);
  }
}

interface ConnectionOptions extends S3Timeouts {
  /** The answer is over, and another request may be sent. */
  readonly onFree: () => void;
  readonly onGone: () => void;
}

/** One socket; one request at a time. */
class Connection implements AnswerSink {
  readonly #socket: Socket;
  readonly #host: string;
  readonly #options: ConnectionOptions;
  #exchange: Exchange | undefined;
  #parser: AnswerParser | undefined;
  #persistent = true;
  #idleMs = IDLE_MS_MAX;
  /** Until there is a connection, or the head of an answer. */
  #deadline: NodeJS.Timeout | undefined;
  #gone = false;

  constructor(origin: string, buffer: Buffer, options: ConnectionOptions) {
    const { hostname, port, host } = new URL(origin);
    this.#host = host;
    this.#options = options;
    this.#socket = connect({
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(port || 80),
      onread: {
        buffer,
        callback: (lengthBytes) => {
          this.#take(buffer.subarray(0, lengthBytes));
          return true;
        },
      },
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
    });
    this.#expect(options.connectMs, 'ERR_CONNECT_TIMEOUT', 'no connection');
    this.#socket
      .on('connect', () => this.#expectHead())
      .on('timeout', () => this.destroy(new HttpError('ERR_STALL_TIMEOUT', 'nothing more came in time')))
      .on('error', (error) => this.destroy(error))
      .on('end', () => this.#onEnd())
      .on('close', () => this.destroy(new HttpError('ERR_CONNECTION_CLOSED', 'closed before the answer was over')));
  }

  send(exchange: Exchange): void {
    const { path, method, headers, reset } = exchange.request;
    exchange.connection = this;
    this.#exchange = exchange;
    this.#parser = new AnswerParser(method, this);
    const connection = reset ? 'close' : 'keep-alive';
    let text = `${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\nconnection: ${connection}\r\n`;
    for (const [name, value] of Object.entries(headers)) text += `${name}: ${value}\r\n`;
    this.#socket.setTimeout(0);
    this.#socket.ref();
    // Before there is a connection it waits in the socket.
    this.#socket.write(`${text}\r\n`, 'latin1');
    if (!this.#socket.connecting) this.#expectHead();
  }

  pause(): void {
    this.#socket.setTimeout(0);
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.setTimeout(this.#options.stallMs);
    this.#socket.resume();
  }

  /** Whoever waits for an answer on it hears the error. */
  destroy(error: Error): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#deadline);
    this.#socket.destroy();
    this.#options.onGone();
    this.#exchange?.fail(error);
  }

  #expect(limitMs: number, code: string, what: string): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.destroy(new HttpError(code, `${what} in ${limitMs} ms`)), limitMs);
  }

  #expectHead(): void {
    this.#expect(this.#options.firstByteMs, 'ERR_FIRST_BYTE_TIMEOUT', 'no answer');
  }

  #take(bytes: Buffer): void {
    try {
      // What nobody asked for says that what comes next cannot be trusted to be an answer.
      const isExact = this.#parser?.take(bytes) === 0;
      if (!isExact || this.#parser?.over) this.#onAnswerEnd(isExact);
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  onHead(head: AnswerHead): void {
    const exchange = this.#exchange!;
    if (exchange.over) return;
    clearTimeout(this.#deadline);
    this.#socket.setTimeout(this.#options.stallMs);
    this.#persistent = head.persistent && !exchange.request.reset;
    const hintS = /timeout=(\d{1,6})/i.exec(head.fields['keep-alive'] ?? '')?.[1];
    if (hintS !== undefined) this.#idleMs = Math.min(IDLE_MS_MAX, Number(hintS) * 1000 - IDLE_MARGIN_MS);
    exchange.start(head);
  }

  onData(chunk: Buffer): void {
    if (!this.#exchange!.over) this.#exchange!.data(chunk);
  }

  #onEnd(): void {
    try {
      this.#parser?.end();
      this.#onAnswerEnd(false);
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  /** First the connection is free, so that it is there for a request that the end of this one lets go. */
  #onAnswerEnd(reusable: boolean): void {
    const exchange = this.#exchange;
    this.#exchange = this.#parser = undefined;
    if (reusable && this.#persistent && this.#idleMs > 0 && !this.#gone) {
      // Who paused at the last chunk has nothing to resume any more.
      this.#socket.resume();
      this.#socket.setTimeout(this.#idleMs);
      this.#socket.unref();
      this.#options.onFree();
    } else {
      this.destroy(closed());
    }
    exchange?.end();
  }
}
