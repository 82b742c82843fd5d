// A proxy that tunnels: every CONNECT goes to one target, whatever host it names, and is remembered. Other requests are
// refused, so what gets through went through the tunnel.
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

export class ConnectProxy {
  /** "host:port" of each tunnel that was asked for. */
  readonly tunnels: string[] = [];
  /** What the next tunnels are answered with instead. */
  refuseWith: string | undefined;
  readonly #server = createServer((_, response) => response.writeHead(405).end());
  readonly #sockets = new Set<Socket>();

  async listen(targetPort: () => number): Promise<this> {
    this.#server.on('connect', (request, client: Socket) => {
      this.#keep(client);
      this.tunnels.push(request.url!);
      if (this.refuseWith !== undefined) {
        client.end(`HTTP/1.1 ${this.refuseWith}\r\ncontent-length: 0\r\n\r\n`);
        return;
      }
      const target = connect(targetPort(), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        target.pipe(client).pipe(target);
      });
      this.#keep(target);
    });
    await new Promise<void>((resolve) => void this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }
}
