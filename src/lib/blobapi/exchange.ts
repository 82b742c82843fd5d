// One request and its answer: the head, slabs under back-pressure, the abort when the client goes. It owns every slab
// that was given to it until the network has taken its bytes or the connection is gone. Knows nothing of routes.
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { abortError, SeekfsError } from '../base/errors.ts';
import type { Slab } from '../base/memory.ts';

/** Header fields as node:http takes them fastest: names and values in turn. */
export type RawHeaders = string[];

/** What is read of a request, as node:http names it; iterates over its body. */
export interface RequestHead extends AsyncIterable<Buffer> {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly httpVersion: string;
  readonly headers: IncomingHttpHeaders;
  /** All of it has arrived. */
  readonly complete: boolean;
  readonly socket: Socket;
}

/** What an answer is written to, as node:http names it. */
export interface ResponseSink {
  readonly statusCode: number;
  readonly headersSent: boolean;
  /** The network has all of it. */
  readonly writableFinished: boolean;
  /** Bytes that the network has not taken yet. */
  readonly writableLength: number;
  readonly destroyed: boolean;
  shouldKeepAlive: boolean;
  writeHead(status: number, headers: RawHeaders): unknown;
  /** What is written from now on waits for `uncork`, or `end`, and leaves as one. */
  cork(): void;
  uncork(): void;
  /** @returns false where the next bytes had better wait for "drain" */
  write(bytes: string | Buffer, flushed?: () => void): boolean;
  end(bytes?: string | Buffer): unknown;
  destroy(): unknown;
  /** "close" comes once: when the network has all of the answer, or the connection has ended before. */
  on(event: 'drain' | 'close', listener: () => void): unknown;
}

export interface ExchangeParts {
  readonly request: RequestHead;
  readonly response: ResponseSink;
  readonly id: string;
  /** The client's address. */
  readonly client: string;
  readonly startedMs: number;
  readonly clock: Clock;
}

/**
 * Of the write that is under way, what the system has not taken; `writableLength` counts it until all of it is. Node has
 * it for nobody but itself: the timeout of its sockets looks at this number, for the same end.
 */
function queuedBytes(socket: Socket & { readonly _handle?: { readonly writeQueueSize?: number } | null }): number {
  return socket._handle?.writeQueueSize ?? 0;
}

export class Exchange {
  readonly request: RequestHead;
  readonly response: ResponseSink;
  readonly id: string;
  readonly client: string;
  readonly startedMs: number;
  /** Name of the route, for the log and the metrics. */
  route = 'none';
  /** What is asked for, for the log: namespace and path. */
  subject = '';
  /** The connection's end and the work's end, of which both are still to come. */
  pending = 2;
  /** Among those that are under way, which keep it here. */
  place = 0;
  /** Fields of every answer, whatever it is. */
  commonFields: RawHeaders | undefined;
  /** Bytes of the body that were handed to the network. */
  sentBytes = 0;
  /** Since when the client takes nothing of what we have for it, as far as was looked; undefined while it does. */
  blockedSinceMs: number | undefined;
  /** What was on its way then. */
  #untakenBytes = 0;
  readonly #clock: Clock;
  /** Those before the last one, and that. */
  #held: Set<Slab> | undefined;
  #last: Slab | undefined;
  #abort: AbortController | undefined;
  #reason: SeekfsError | undefined;
  #wake: (() => void) | undefined;
  #listensForDrain = false;

  constructor(parts: ExchangeParts) {
    this.request = parts.request;
    this.response = parts.response;
    this.id = parts.id;
    this.client = parts.client;
    this.startedMs = parts.startedMs;
    this.#clock = parts.clock;
  }

  get isHead(): boolean {
    return this.request.method === 'HEAD';
  }

  /** Aborted when the client has gone or the server breaks the answer off. */
  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#reason) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  /** Status, header fields; the body follows with `send`. */
  head(status: number, headers: RawHeaders): void {
    headers.push('X-Request-Id', this.id);
    if (this.commonFields) headers.push(...this.commonFields);
    this.response.writeHead(status, headers);
  }

  /** A whole answer whose body is small and already in memory. */
  finish(status: number, headers: RawHeaders, body: string | Buffer): void {
    headers.push('Content-Length', String(Buffer.byteLength(body)));
    this.head(status, headers);
    if (this.isHead) this.response.end();
    else {
      this.sentBytes += Buffer.byteLength(body);
      this.response.end(body);
    }
  }

  /**
   * Hands a slab's bytes to the network and takes over the caller's reference of it. `last` ends the answer.
   * @returns a promise where the client is slower than we are: wait for it before you send more
   * @throws interrupted when the client has gone
   */
  send(slab: Slab, last: boolean): void | Promise<void> {
    if (this.#reason) {
      slab.release();
      throw this.#reason;
    }
    return this.#write(slab, last) ? undefined : this.#drained();
  }

  /**
   * As `send`, for several that are all there: takes them over also where it throws. They leave in one call of the system;
   * each such call wakes a client that has taken all before it, which took a sixth of the time of a long answer.
   */
  sendAll(slabs: readonly Slab[], last: boolean): void | Promise<void> {
    let hasRoom = true;
    if (slabs.length > 1) this.response.cork();
    for (const [index, slab] of slabs.entries()) {
      if (this.#reason) slab.release();
      else hasRoom = this.#write(slab, last && index === slabs.length - 1);
    }
    if (slabs.length > 1) this.response.uncork();
    if (this.#reason) throw this.#reason;
    return hasRoom ? undefined : this.#drained();
  }

  /** @returns false where the client is slower than we are, and more is to come */
  #write(slab: Slab, last: boolean): boolean {
    this.sentBytes += slab.bytes.length;
    if (last) {
      // Given back by `closed`.
      this.#last = slab;
      this.response.end(slab.bytes);
      if (this.response.writableLength > 0) this.#block();
      return true;
    }
    const held = (this.#held ??= new Set());
    held.add(slab);
    return this.response.write(slab.bytes, () => {
      if (held.delete(slab)) slab.release();
    });
  }

  /** As `send`, for bytes that are no slab: part heads, JSON. Whoever has gone gets none; `send` says so. */
  sendText(text: string | Buffer): void | Promise<void> {
    return this.sendAhead(text) ? undefined : this.#drained();
  }

  /**
   * As `sendText`, before a `send` that follows at once and waits for both.
   * @returns false where the client is slower than we are
   */
  sendAhead(text: string | Buffer): boolean {
    if (this.#reason) return true;
    this.sentBytes += Buffer.byteLength(text);
    return this.response.write(text);
  }

  #block(): void {
    this.blockedSinceMs = this.#clock.monotonicMs();
    this.#untakenBytes = this.#untaken();
  }

  /** Of all that was written, what the system's network has not taken; each part that it takes makes it less. */
  #untaken(): number {
    return this.response.writableLength + queuedBytes(this.request.socket);
  }

  /** Looks whether a client that is blocked has taken some of what was on its way: then it is blocked from now on. */
  lookForProgress(): void {
    if (this.blockedSinceMs !== undefined && this.#untaken() !== this.#untakenBytes) this.#block();
  }

  #drained(): Promise<void> {
    this.#block();
    if (!this.#listensForDrain) {
      this.#listensForDrain = true;
      this.response.on('drain', () => this.#resume());
    }
    return new Promise((resolve, reject) => {
      this.#wake = () => (this.#reason ? reject(this.#reason) : resolve());
    });
  }

  #resume(): void {
    this.blockedSinceMs = undefined;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /** Breaks the connection off, visibly for the client: what was sent is never taken for the whole. */
  breakOff(reason: SeekfsError): void {
    this.#reason ??= reason;
    this.#abort?.abort(this.#reason);
    this.response.destroy();
    this.#resume();
  }

  /** Of slabs that the network has not taken yet. */
  get heldBytes(): number {
    let bytes = this.#last?.bytes.length ?? 0;
    for (const slab of this.#held ?? []) bytes += slab.bytes.length;
    return bytes;
  }

  /**
   * Called once, when the answer is over or the connection is gone: gives back what is still held.
   * @returns "client" where the client has gone before the end
   */
  closed(): 'client' | 'us' {
    let by: 'client' | 'us' = 'us';
    if (!this.response.writableFinished) {
      if (!this.#reason) by = 'client';
      this.#reason ??= new SeekfsError('interrupted', 'the client has gone');
      this.#abort?.abort(this.#reason);
    }
    for (const slab of this.#held ?? []) slab.release();
    this.#held?.clear();
    this.#last?.release();
    this.#last = undefined;
    this.#resume();
    return by;
  }

  throwIfGone(): void {
    if (this.#reason) throw this.#reason;
    if (this.#abort?.signal.aborted) throw abortError(this.#abort.signal);
  }
}
