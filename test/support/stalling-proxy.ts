// A TCP proxy in front of a real server that stops passing answers on once it has passed a number of bytes: what a
// client does in the middle of a transfer can then be tested without racing against it.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export class StallingProxy {
  readonly #target: { host: string; port: number };
  readonly #server = createServer((client) => this.#onClient(client));
  readonly #sockets = new Set<Socket>();
  readonly #waiting: (() => void)[] = [];
  #limitBytes = Number.POSITIVE_INFINITY;
  #passedBytes = 0;

  constructor(endpoint: string) {
    const { hostname, port } = new URL(endpoint);
    this.#target = { host: hostname, port: Number(port) };
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Connections that are open now, from clients. */
  get connections(): number {
    return this.#sockets.size;
  }

  get passedBytes(): number {
    return this.#passedBytes;
  }

  /** Passes that many more bytes of answers on, then nothing. */
  stallAfter(bytes: number): void {
    this.#limitBytes = this.#passedBytes + bytes;
  }

  /** Resolves when an answer was held back. */
  stalled(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #onClient(client: Socket): void {
    const upstream = connect(this.#target);
    this.#sockets.add(client);
    const end = (): void => {
      this.#sockets.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
    client.pipe(upstream);
    upstream.on('data', (chunk: Buffer) => {
      const passed = chunk.subarray(0, Math.max(0, this.#limitBytes - this.#passedBytes));
      this.#passedBytes += passed.length;
      if (passed.length > 0 && !client.write(passed)) {
        upstream.pause();
        client.once('drain', () => upstream.resume());
      }
      if (passed.length === chunk.length) return;
      upstream.pause();
      for (const resolve of this.#waiting.splice(0)) resolve();
    });
  }
}
