// Connections for undici that receive into one buffer, over and over. Node otherwise takes fresh memory for every read of a
// socket, and handing that out and collecting it is half of what a large download costs. The parser reads a socket by
// `read`, `unshift` and the event `readable` alone; those are what this stands in for. Knows nothing of HTTP but that.
import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import { KIB } from '../base/units.ts';

const BUFFER_BYTES = 256 * KIB;
/**
 * What may end within the head of an answer is copied: the parser keeps what it has of the names and values until it has
 * seen the rest. Heads are shorter than this (undici takes 16 KiB of names and values), and bodies mostly come in longer reads.
 */
const COPIED_BYTES_MAX = 32 * KIB;

/**
 * For undici's `connect`; `build` is its own way to make one. What a request's handler is given is only there until it
 * returns. HTTPS is left as it is: there the decryption makes the pieces, and they are small.
 */
export function reusingConnector(
  build: typeof buildConnector,
  options: buildConnector.BuildOptions,
): buildConnector.connector {
  const secure = build(options);
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  return (to, callback) => {
    if (to.protocol === 'https:') {
      secure(to, callback);
      return;
    }
    const received = new ReceivedBytes(buffer);
    const onread = { buffer, callback: (lengthBytes: number) => received.take(lengthBytes) };
    build({ ...options, onread })(to, (...[error, socket]) => {
      if (error) {
        callback(error, null);
        return;
      }
      received.standInFor(socket);
      callback(null, socket);
    });
  };
}

/** What a socket has received and its reader has not yet read. */
class ReceivedBytes {
  readonly #buffer: Buffer;
  #socket: Socket | undefined;
  /** A view of the buffer only while the reader is being told of it. */
  #unread: Buffer | undefined;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  standInFor(socket: Socket): void {
    this.#socket = socket;
    const read = socket.read.bind(socket);
    socket.read = (size?: number): unknown => {
      const unread = this.#unread;
      // Node's own `read(0)` takes nothing. The socket's `read` goes on receiving where `take` has stopped it.
      if (unread === undefined || size === 0) return read(size);
      this.#unread = undefined;
      return unread;
    };
    socket.unshift = (chunk: Buffer): void => {
      // As Node's own: nothing to be read, so receiving goes on.
      if (chunk.length === 0) return;
      this.#unread = this.#unread ? Buffer.concat([chunk, this.#unread]) : chunk;
    };
  }

  /** False where the reader has left some of it: the socket then receives nothing until all of that is read. */
  take(lengthBytes: number): boolean {
    const view = this.#buffer.subarray(0, lengthBytes);
    // Who calls the socket's `resume` receives before the rest was read.
    if (this.#unread) this.#unread = Buffer.concat([this.#unread, view]);
    else this.#unread = lengthBytes <= COPIED_BYTES_MAX ? Buffer.from(view) : view;
    this.#socket!.emit('readable');
    if (this.#unread === undefined) return true;
    this.#unread = Buffer.from(this.#unread);
    return false;
  }
}
