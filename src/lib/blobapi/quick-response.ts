// The answer to one request of a quick connection, as exchange.ts writes it, in HTTP/1.1 on the socket: head, body of the
// length that the head says, end. It gives the fields that node:http gives, in its order.
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { copyShared } from '../base/page-aligned.ts';
import { KIB } from '../base/units.ts';
import type { RawHeaders, ResponseSink } from './exchange.ts';

const NOTHING = Buffer.alloc(0);
/** Heads have 300 to 700 bytes; one that is longer, or a larger body, leaves as it is. */
const SMALL_ANSWER_BYTES_MAX = 16 * KIB;

/** Where head and body of a small answer are put together: one piece costs node less than two and the copy (0061). */
class Joint {
  #bytes: Buffer | undefined;

  /** Undefined where both together are too large. Good until `taken`. */
  join(head: string, body: Buffer): Buffer | undefined {
    const length = head.length + body.length;
    if (length > SMALL_ANSWER_BYTES_MAX) return undefined;
    const bytes = (this.#bytes ??= Buffer.allocUnsafeSlow(SMALL_ANSWER_BYTES_MAX));
    bytes.write(head, 'latin1');
    copyShared(bytes, head.length, body);
    return bytes.subarray(0, length);
  }

  /** Says whether the kernel has all of it; else those bytes are the network's, and the next answer gets others. */
  taken(all: boolean): void {
    if (!all) this.#bytes = undefined;
  }
}

/** What the answers of all connections share. */
export class FieldsOfEvery {
  readonly joint = new Joint();
  readonly #clock: Clock;
  readonly #keepAlive: string;
  #second = -1;
  #date = '';

  constructor(clock: Clock, idleMsMax: number) {
    this.#clock = clock;
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(idleMsMax / 1000)}\r\n\r\n`;
  }

  /** The last fields of a head, with the empty line that ends it. */
  text(shouldKeepAlive: boolean): string {
    const nowMs = this.#clock.nowMs();
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#date = `Date: ${new Date(nowMs).toUTCString()}\r\n`;
    }
    return this.#date + (shouldKeepAlive ? this.#keepAlive : 'Connection: close\r\n\r\n');
  }
}

export class QuickResponse implements ResponseSink {
  readonly #socket: Socket;
  readonly #fields: FieldsOfEvery;
  /** The network has all of it. */
  readonly #onDone: () => void;
  statusCode = 200;
  headersSent = false;
  writableFinished = false;
  shouldKeepAlive = true;
  /** Until the first bytes of the body go with it. */
  #head = '';
  #isEnded = false;
  #onDrain: (() => void) | undefined;
  #onClose: (() => void) | undefined;

  constructor(socket: Socket, fields: FieldsOfEvery, onDone: () => void) {
    this.#socket = socket;
    this.#fields = fields;
    this.#onDone = onDone;
  }

  get writableLength(): number {
    return this.#socket.writableLength;
  }

  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  on(event: 'drain' | 'close', listener: () => void): void {
    if (event === 'drain') this.#onDrain = listener;
    else this.#onClose = listener;
  }

  writeHead(status: number, headers: RawHeaders): void {
    this.statusCode = status;
    this.headersSent = true;
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;
    let hasLength = false;
    for (let index = 0; index < headers.length; index += 2) {
      const name = headers[index]!;
      if (name === 'Content-Length') hasLength = true;
      head += `${name}: ${headers[index + 1]}\r\n`;
    }
    // RFC 9112 §6.3: the end of the connection is the end of such a body.
    if (!hasLength) this.shouldKeepAlive = false;
    this.#head = head + this.#fields.text(this.shouldKeepAlive);
  }

  write(bytes: string | Buffer, flushed?: () => void): boolean {
    const socket = this.#socket;
    // To write after the end would break off what is written already; "close" is near.
    if (!socket.writable) return false;
    if (this.#head === '') return socket.write(bytes, flushed);
    const { joint } = this.#fields;
    // What waits for `uncork` leaves with all the rest.
    const isAlone = typeof bytes !== 'string' && socket.writableCorked === 0;
    const joined = isAlone ? joint.join(this.#head, bytes) : undefined;
    if (joined) {
      this.#head = '';
      const hasRoom = socket.write(joined, flushed);
      joint.taken(socket.writableLength === 0);
      return hasRoom;
    }
    socket.cork();
    socket.write(this.#head, 'latin1');
    this.#head = '';
    const hasRoom = socket.write(bytes, flushed);
    socket.uncork();
    return hasRoom;
  }

  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  end(bytes?: string | Buffer): void {
    if (!this.#socket.writable) return;
    if (bytes !== undefined) this.write(bytes);
    else if (this.#head !== '') this.#socket.write(this.#head, 'latin1');
    this.#socket.uncork();
    this.#isEnded = true;
    // As a rule the kernel has taken it all by now, which saves the callback.
    if (this.#socket.writableLength === 0) this.#flushed();
    else this.#socket.write(NOTHING, (error) => void (error ?? this.#flushed()));
  }

  #flushed(): void {
    if (this.destroyed) return;
    this.writableFinished = true;
    this.#onDone();
    this.#onClose?.();
  }

  /** The connection takes more. */
  drained(): void {
    if (!this.#isEnded) this.#onDrain?.();
  }

  /** The connection is closed before the network had all of it. */
  lost(): void {
    this.#onClose?.();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
