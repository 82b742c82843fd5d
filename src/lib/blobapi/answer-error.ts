// How a failure looks to an HTTP client: JSON from the one error table while nothing was sent, a broken connection after.
import type { Socket } from 'node:net';
import { isSeekfsError, SeekfsError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Exchange, RawHeaders } from './exchange.ts';
import { Refusal } from './refusal.ts';

/** What is safe to tell: a defect's own text stays in the log. */
export function publicError(error: unknown, id: string): SeekfsError {
  if (!isSeekfsError(error)) {
    return new SeekfsError('unexpected', `the server failed on this request; its log has the cause under ${id}`);
  }
  if (error.code === 'interrupted') return new SeekfsError('overloaded', 'the server is shutting down; ask again');
  return error;
}

export function answerError(exchange: Exchange, thrown: unknown, log: Logger): void {
  if (!isSeekfsError(thrown)) {
    const stack = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    log.log('error', 'a request met a defect', { request_id: exchange.id, stack });
  }
  const { response } = exchange;
  if (response.headersSent) {
    exchange.breakOff(isSeekfsError(thrown) ? thrown : publicError(thrown, exchange.id));
    return;
  }
  if (response.destroyed) return;
  const error = publicError(thrown, exchange.id);
  const headers: RawHeaders = ['Content-Type', 'application/json'];
  if (error.httpStatus === 429 || error.httpStatus === 503) {
    headers.push('Retry-After', String(Math.max(1, Math.ceil((error.retryAfterMs ?? 1000) / 1000))));
  }
  if (error instanceof Refusal) {
    for (const [name, value] of Object.entries(error.headers)) headers.push(name, value);
  }
  // A body that nobody will read must not be taken for the next request.
  if (!exchange.request.complete && exchange.request.method === 'POST') headers.push('Connection', 'close');
  exchange.finish(error.httpStatus, headers, `${JSON.stringify(error)}\n`);
}

const CLIENT_ERRORS: Readonly<Record<string, { status: string; message: string }>> = {
  HPE_HEADER_OVERFLOW: { status: '431 Request Header Fields Too Large', message: 'the header is too large' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: '408 Request Timeout', message: 'the request did not arrive in time' },
};

/** For a connection on which no request came in time. */
export function answerLate(socket: Socket): void {
  const error = new Error('no request');
  answerClientError(Object.assign(error, { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket, false);
}

const LINGER_MS = 1000;

/** What the parser refused: there is no exchange for it. In the middle of another answer nothing can be said any more. */
export function answerClientError(error: Error & { code?: string }, socket: Socket, isAnswering: boolean): void {
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering) {
    socket.destroy();
    return;
  }
  const { status, message } = CLIENT_ERRORS[error.code ?? ''] ?? {
    status: '400 Bad Request',
    message: 'the request is not HTTP/1.1',
  };
  const body = `${JSON.stringify(new SeekfsError('usage', message))}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  // Whoever does not read this either is cut off.
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
