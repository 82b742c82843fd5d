// Memory for files that are read whole, used again for the next ones: fresh memory is zeroed page by page.
import { KIB, MIB } from '../base/units.ts';

const ROUND_BYTES = 64 * KIB;
const IDLE_MAX = 32;
const IDLE_BYTES_MAX = 64 * MIB;

export class ReadBuffers {
  readonly #idle: SharedArrayBuffer[] = [];
  #idleBytes = 0;

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** At least so many bytes, at most a quarter more (small ones: 64 KiB more), with anything in them. */
  take(sizeBytes: number): SharedArrayBuffer {
    const wanted = Math.ceil(sizeBytes / ROUND_BYTES) * ROUND_BYTES;
    const at = this.#idle.findIndex(({ byteLength }) => byteLength >= wanted && byteLength <= wanted * 1.25);
    if (at < 0) return new SharedArrayBuffer(wanted);
    const [found] = this.#idle.splice(at, 1) as [SharedArrayBuffer];
    this.#idleBytes -= found.byteLength;
    return found;
  }

  /** Nobody reads or writes it any more. Those that have lain longest go where there are too many. */
  give(buffer: SharedArrayBuffer): void {
    this.#idle.push(buffer);
    this.#idleBytes += buffer.byteLength;
    while (this.#idle.length > IDLE_MAX || this.#idleBytes > IDLE_BYTES_MAX) {
      this.#idleBytes -= this.#idle.shift()!.byteLength;
    }
  }
}
