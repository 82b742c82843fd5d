// HTTP as bytes on a socket, for tests of what no client library would send: writes the parts as they are, and reads
// back strictly framed answers.
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

export interface RawAnswers {
  readonly answers: RawAnswer[];
  /** Ended inside an answer: visibly broken off. */
  readonly isCut: boolean;
}

/**
 * Writes the parts in turn, each in a turn of the event loop of its own, ends its side, and reads until the end. With
 * `listens` it is the server that ends the connection: after the last part it must.
 */
export function exchangeRaw(
  port: number,
  parts: readonly (string | Buffer)[],
  options: { readonly listens?: boolean } = {},
): Promise<Buffer> {
  return new Promise((resolve) => {
    const { socket } = opened(port, resolve);
    void (async () => {
      for (const part of parts) {
        if (socket.destroyed) return;
        socket.write(part);
        if (parts.length > 1) await new Promise(setImmediate);
      }
      if (!options.listens) socket.end();
    })();
  });
}

/**
 * Writes each part when as many answers are there as there were parts before it, and reads until the server ends the
 * connection: after the last part it must.
 */
export function converseRaw(port: number, parts: readonly (string | Buffer)[]): Promise<Buffer> {
  return new Promise((resolve) => {
    const { socket, chunks } = opened(port, resolve);
    let written = 0;
    const writeNext = (): void => {
      const isTurn = written < parts.length && parseAnswers(Buffer.concat(chunks)).answers.length >= written;
      if (isTurn && socket.writable) socket.write(parts[written++]!);
    };
    socket.on('connect', writeNext).on('data', writeNext);
  });
}

function opened(port: number, onClose: (bytes: Buffer) => void): { socket: Socket; chunks: Buffer[] } {
  const chunks: Buffer[] = [];
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('data', (chunk) => chunks.push(chunk));
  // The server may cut off whoever sends nonsense.
  socket.on('error', () => undefined);
  socket.on('close', () => onClose(Buffer.concat(chunks)));
  return { socket, chunks };
}

/** @throws where the bytes are no sequence of HTTP/1.1 answers; a cut end is told, not thrown */
export function parseAnswers(bytes: Buffer): RawAnswers {
  const answers: RawAnswer[] = [];
  for (let at = 0; at < bytes.length;) {
    const headEnd = bytes.indexOf('\r\n\r\n', at);
    if (headEnd === -1) return { answers, isCut: true };
    const [first, ...lines] = bytes.toString('latin1', at, headEnd).split('\r\n');
    const match = /^HTTP\/1\.1 (\d{3}) [ -~]*$/.exec(first!);
    if (!match) throw new Error(`no status line: ${JSON.stringify(first!.slice(0, 200))}`);
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const status = Number(match[1]);
    at = headEnd + 4;
    if (status === 100) continue;
    const body = headers.get('transfer-encoding') === 'chunked' ? dechunk(bytes, at) : sized(bytes, at, headers);
    if (!body) return { answers, isCut: true };
    answers.push({ status, headers, body: body.bytes });
    at = body.end;
  }
  return { answers, isCut: false };
}

interface Body {
  readonly bytes: Buffer;
  readonly end: number;
}

function sized(bytes: Buffer, start: number, headers: ReadonlyMap<string, string>): Body | undefined {
  const end = start + Number(headers.get('content-length') ?? 0);
  return end <= bytes.length ? { bytes: bytes.subarray(start, end), end } : undefined;
}

function dechunk(bytes: Buffer, start: number): Body | undefined {
  const chunks: Buffer[] = [];
  for (let at = start; ;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const length = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (Number.isNaN(length)) throw new Error('no chunk size');
    at = lineEnd + 2 + length + 2;
    if (at > bytes.length) return undefined;
    if (length === 0) return { bytes: Buffer.concat(chunks), end: at };
    chunks.push(bytes.subarray(lineEnd + 2, at - 2));
  }
}
