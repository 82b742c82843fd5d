// One keep-alive connection that sends GETs and counts the bytes of bodies: the least that a client of HTTP can do, so that
// what a benchmark times is the server, as a file's reader is no more than system calls.
import { connect } from 'node:net';

const HEAD_END = '\r\n\r\n';

export class SocketReader {
  #socket;
  #head;
  /** What has come of the head of the answer. */
  #coming = '';
  #bodyLeft = -1;
  #bodyBytes = 0;
  #pending;

  /** @param {string} url of the bytes; ranges are added as `off` and `len` */
  constructor(url) {
    const { hostname, port, pathname, search, host } = new URL(url);
    this.#head = { before: `GET ${pathname}${search}&off=`, after: ` HTTP/1.1\r\nHost: ${host}${HEAD_END}` };
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.on('error', (error) => this.#pending?.reject(error));
    this.#socket.on('close', () => this.#pending?.reject(new Error('the server closed the connection')));
  }

  /** @returns {Promise<number>} bytes of the body */
  read(off, len) {
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#socket.write(`${this.#head.before}${off}&len=${len}${this.#head.after}`);
    });
  }

  close() {
    this.#pending = undefined;
    this.#socket.destroy();
  }

  #take(chunk) {
    if (this.#bodyLeft < 0) {
      this.#coming += chunk.latin1Slice();
      const end = this.#coming.indexOf(HEAD_END);
      if (end < 0) return;
      const head = this.#coming.slice(0, end);
      const length = /\r\ncontent-length: (\d+)/i.exec(head);
      if (!/^HTTP\/1\.1 20[06] /.test(head) || !length) {
        this.#socket.destroy(new Error(`unexpected answer: ${head.slice(0, 200)}`));
        return;
      }
      this.#bodyBytes = Number(length[1]);
      this.#bodyLeft = this.#bodyBytes - (this.#coming.length - end - HEAD_END.length);
      this.#coming = '';
    } else this.#bodyLeft -= chunk.length;
    if (this.#bodyLeft > 0) return;
    const { resolve } = this.#pending;
    this.#bodyLeft = -1;
    resolve(this.#bodyBytes);
  }
}
