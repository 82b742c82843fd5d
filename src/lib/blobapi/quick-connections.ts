// Connections that are answered without node:http while each of their requests is a simple one (simple-request.ts): for
// those its parser and its objects cost more than the answer. A connection that sends anything else is handed over, with
// all that was not answered, and does not come back. Knows nothing of routes: it is the same server that answers.
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import type { RequestHead, ResponseSink } from './exchange.ts';
import type { Limits } from './limits.ts';
import { FieldsOfEvery, QuickResponse } from './quick-response.ts';
import { parseSimpleRequest, type SimpleRequest } from './simple-request.ts';

export interface QuickConnectionsParts {
  readonly limits: Pick<Limits, 'headerBytesMax' | 'headMsMax' | 'idleMsMax'>;
  readonly clock: Clock;
  readonly onRequest: (request: RequestHead, response: ResponseSink) => void;
  /** Ends a connection on which nothing came in time. */
  readonly onLate: (socket: Socket) => void;
}

/** Takes over a connection, whose next bytes are these. */
type HandOver = (socket: Socket, bytes: Buffer) => void;

/** Stands before the server's own reading of connections; undefined where that is none that can be stood before. */
export function readQuickly(server: Server, parts: QuickConnectionsParts): QuickConnections | undefined {
  const [read, ...others] = server.listeners('connection');
  if (!read || others.length > 0) return undefined;
  const quick = new QuickConnections(parts, (socket, bytes) => {
    read.call(server, socket);
    socket.emit('data', bytes);
  });
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => quick.add(socket));
  return quick;
}

/** How late a connection's end may be. */
const SWEEP_MS = 1000;

export class QuickConnections {
  readonly #shared: Shared;
  readonly #timer: NodeJS.Timeout;

  constructor(parts: QuickConnectionsParts, handOver: HandOver) {
    const { clock, limits } = parts;
    this.#shared = { ...parts, handOver, fields: new FieldsOfEvery(clock, limits.idleMsMax), open: new Set() };
    this.#timer = setInterval(() => this.#sweep(), Math.min(SWEEP_MS, limits.headMsMax, limits.idleMsMax));
    this.#timer.unref();
  }

  /** Of a connection that nothing was read from. */
  add(socket: Socket): void {
    this.#shared.open.add(new QuickConnection(socket, this.#shared));
  }

  #sweep(): void {
    const nowMs = this.#shared.clock.monotonicMs();
    for (const connection of this.#shared.open) connection.endIfLate(nowMs);
  }

  /** Ends connections that wait for a request; an answer that is under way is told to be the last of its connection. */
  drain(): void {
    for (const connection of this.#shared.open) connection.drain();
  }

  /** Breaks off what is still there. */
  close(): void {
    clearInterval(this.#timer);
    for (const connection of this.#shared.open) connection.destroy();
  }
}

interface Shared extends QuickConnectionsParts {
  readonly handOver: HandOver;
  readonly fields: FieldsOfEvery;
  readonly open: Set<QuickConnection>;
}

class QuickConnection {
  readonly #socket: Socket;
  readonly #shared: Shared;
  /** That is under way. */
  #response: QuickResponse | undefined;
  /** What came while an answer was under way. */
  #waiting: Buffer | undefined;
  #hasAsked = false;
  #idleSinceMs: number;
  readonly #listeners = {
    data: (bytes: Buffer) => this.#receive(bytes),
    drain: () => this.#response?.drained(),
    // As node:http without `httpAllowHalfOpen`: whoever ends its side gets what is written so far. Until "close" the
    // network reads that where it is, so nothing of it may be given back before.
    end: () => void this.#socket.end(),
    error: () => undefined,
    close: () => {
      this.#shared.open.delete(this);
      this.#response?.lost();
    },
  };
  readonly #onDone = (): void => this.#done();

  constructor(socket: Socket, shared: Shared) {
    this.#socket = socket;
    this.#shared = shared;
    this.#idleSinceMs = shared.clock.monotonicMs();
    for (const [event, listener] of Object.entries(this.#listeners)) socket.on(event, listener);
  }

  #receive(bytes: Buffer): void {
    // Nobody could be answered any more: the connection's last answer is on its way.
    if (!this.#socket.writable) return;
    if (this.#response) {
      this.#waiting = this.#waiting ? Buffer.concat([this.#waiting, bytes]) : bytes;
      this.#socket.pause();
      return;
    }
    const simple = bytes.length < this.#shared.limits.headerBytesMax ? parseSimpleRequest(bytes) : undefined;
    if (!simple) {
      this.#handOver(bytes);
      return;
    }
    this.#hasAsked = true;
    this.#response = new QuickResponse(this.#socket, this.#shared.fields, this.#onDone);
    this.#shared.onRequest(new QuickRequest(simple, this.#socket), this.#response);
  }

  #handOver(bytes: Buffer): void {
    for (const [event, listener] of Object.entries(this.#listeners)) this.#socket.off(event, listener);
    this.#shared.open.delete(this);
    this.#shared.handOver(this.#socket, bytes);
  }

  #done(): void {
    const { shouldKeepAlive } = this.#response!;
    this.#response = undefined;
    if (!shouldKeepAlive) {
      this.#socket.destroySoon();
      return;
    }
    this.#idleSinceMs = this.#shared.clock.monotonicMs();
    const waiting = this.#waiting;
    if (!waiting) return;
    this.#waiting = undefined;
    // Not within the answer that has just ended.
    setImmediate(() => {
      if (this.#socket.destroyed) return;
      // First, since whoever takes the connection over may pause it again.
      this.#socket.resume();
      this.#receive(waiting);
    });
  }

  endIfLate(nowMs: number): void {
    if (this.#response) return;
    const { limits, onLate } = this.#shared;
    const idleMs = nowMs - this.#idleSinceMs;
    if (this.#hasAsked) {
      if (idleMs >= limits.idleMsMax) this.#socket.destroy();
    } else if (idleMs >= limits.headMsMax) onLate(this.#socket);
  }

  drain(): void {
    if (this.#response) this.#response.shouldKeepAlive = false;
    else this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

class QuickRequest implements RequestHead {
  readonly method = 'GET';
  readonly httpVersion = '1.1';
  readonly complete = true;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly socket: Socket;

  constructor({ url, headers }: SimpleRequest, socket: Socket) {
    this.url = url;
    this.headers = headers;
    this.socket = socket;
  }

  /** Its body, which it has not. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {}
}
