// An S3 server in this process whose answers a test scripts: every fault that a store or a network has shown, settable
// latency and bandwidth, and a log of what was asked. Right answers come from faulty-s3-objects.ts. Signatures are not
// checked, their time is.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import type { S3Options } from '../../src/lib/objectstore/s3-options.ts';
import { FaultyObjects, type Answer } from './faulty-s3-objects.ts';

export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly code?: string; readonly retryAfterS?: number }
  /** The head of the answer comes late; undefined: never. */
  | { readonly kind: 'slow first byte'; readonly delayMs?: number }
  /** The body stops after so many bytes, and the connection stays open. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** The connection is closed in the middle of a body whose length was announced rightly. */
  | { readonly kind: 'short body'; readonly afterBytes: number }
  | { readonly kind: 'reset'; readonly afterBytes: number }
  /** The connection is reset before any answer. */
  | { readonly kind: 'no answer' }
  /** The request is carried out, and the connection reset instead of an answer. */
  | { readonly kind: 'lost answer' }
  | { readonly kind: 'extra bytes'; readonly announced: boolean }
  | { readonly kind: 'whole instead of range' }
  | { readonly kind: 'wrong range' }
  | { readonly kind: 'shorter range' }
  | { readonly kind: 'flipped bit'; readonly at: number }
  | { readonly kind: 'changed etag' }
  | { readonly kind: 'no etag' }
  | { readonly kind: 'redirect'; readonly status: number }
  | { readonly kind: 'html'; readonly status: number }
  | { readonly kind: 'gzip' }
  | { readonly kind: 'chunked' };

export interface LoggedRequest {
  readonly method: string;
  /** Object key; empty for requests to the bucket. */
  readonly key: string;
  /** "GET", "HEAD", "LIST", "PUT", "PART", "PARTS", "UPLOADS", "CREATE", "COMPLETE", "ABORT", "DELETE". */
  readonly operation: string;
  readonly range: string | undefined;
  readonly headers: IncomingMessage['headers'];
  /** Of the signature, whether in a header or in the URL. */
  readonly signedAt: string | undefined;
  readonly accessKey: string | undefined;
  readonly fault: Fault['kind'] | undefined;
}

const SKEW_MS_MAX = 15 * 60_000;
const CHUNK_BYTES = 16 * 1024;

export class FaultyS3 {
  readonly objects = new FaultyObjects();
  readonly log: LoggedRequest[] = [];
  /** Faults of the next requests that match; each is used once. `where` defaults to GETs of objects. */
  readonly #script: { readonly fault: Fault; readonly where: (request: LoggedRequest) => boolean }[] = [];
  latencyMs = 0;
  /** Bytes a second of one body; Infinity: as fast as it goes. */
  bandwidthBytesPerS = Infinity;
  /** The server's clock minus the real one. */
  clockOffsetMs = 0;
  /** Access keys whose tokens have expired. */
  readonly expiredKeys = new Set<string>();
  readonly #server: Server;
  readonly #scheme: 'http' | 'https';

  constructor(tls?: { readonly key: Buffer; readonly cert: Buffer }) {
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      this.#answer(request, response).catch(() => request.socket.destroy());
    };
    this.#server = tls ? createSecureServer(tls, listener) : createServer(listener);
    this.#scheme = tls ? 'https' : 'http';
  }

  async listen(host = '127.0.0.1'): Promise<this> {
    this.#server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, host, resolve);
    });
    return this;
  }

  get endpoint(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return `${this.#scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** How an engine reaches it. */
  options(more: Partial<S3Options> = {}): S3Options {
    return {
      bucket: 'bucket',
      region: 'us-east-1',
      endpoint: this.endpoint,
      credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
      forcePathStyle: true,
      ...more,
    };
  }

  /** The next `times` requests that match meet this fault. */
  fail(fault: Fault, options: { times?: number; where?: (request: LoggedRequest) => boolean } = {}): void {
    const where = options.where ?? ((request) => request.operation === 'GET');
    for (let turn = 0; turn < (options.times ?? 1); turn += 1) this.#script.push({ fault, where });
  }

  /** Faults that no request has met yet. */
  get pending(): number {
    return this.#script.length;
  }

  forgetFaults(): void {
    this.#script.length = 0;
  }

  count(operation: string): number {
    return this.log.filter((request) => request.operation === operation).length;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }

  #takeFault(request: LoggedRequest): Fault | undefined {
    const index = this.#script.findIndex(({ where }) => where(request));
    return index < 0 ? undefined : this.#script.splice(index, 1)[0]!.fault;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const received: Buffer[] = [];
    for await (const chunk of request) received.push(chunk as Buffer);
    const call = this.objects.parse(request);
    const { signedAt, accessKey } = signatureOf(request);
    const { method = '' } = request;
    const seen = { ...call, method, range: request.headers.range, headers: request.headers, signedAt, accessKey };
    const fault = this.#takeFault({ ...seen, fault: undefined });
    this.log.push({ ...seen, fault: fault?.kind });
    if (this.latencyMs > 0) await pause(this.latencyMs);
    if (fault?.kind === 'slow first byte') await pause(fault.delayMs ?? 2 ** 30, request);
    if (fault?.kind === 'no answer') {
      request.socket.resetAndDestroy();
      return;
    }
    const nowMs = Date.now() + this.clockOffsetMs;
    let answer =
      this.#refusal(signedAt, accessKey, nowMs) ?? this.objects.answer(call, request, Buffer.concat(received));
    if (fault?.kind === 'lost answer') {
      request.socket.resetAndDestroy();
      return;
    }
    if (fault) answer = spoil(answer, fault, this.objects.get(call.key));
    await this.#send(answer, fault, { request, response, nowMs });
  }

  #refusal(signedAt: string | undefined, accessKey: string | undefined, nowMs: number): Answer | undefined {
    if (accessKey !== undefined && this.expiredKeys.has(accessKey)) {
      return this.objects.error(400, 'ExpiredToken', 'The provided token has expired.');
    }
    const iso = signedAt?.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z');
    if (iso !== undefined && Math.abs(Date.parse(iso) - nowMs) > SKEW_MS_MAX) {
      return this.objects.error(403, 'RequestTimeTooSkewed', 'The difference between the clocks is too large.');
    }
    return undefined;
  }

  async #send(
    answer: Answer,
    fault: Fault | undefined,
    on: { request: IncomingMessage; response: ServerResponse; nowMs: number },
  ): Promise<void> {
    const { request, response } = on;
    response.sendDate = false;
    response.strictContentLength = false;
    const body = request.method === 'HEAD' ? Buffer.alloc(0) : answer.body;
    const headers = {
      date: new Date(on.nowMs).toUTCString(),
      'content-length': String(answer.body.length),
      ...answer.headers,
    };
    response.writeHead(answer.status, Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== '')));
    const endAt = fault && 'afterBytes' in fault ? Math.min(fault.afterBytes, body.length) : body.length;
    const startedAtMs = performance.now();
    for (let off = 0; off < endAt; off += CHUNK_BYTES) {
      const chunk = body.subarray(off, Math.min(off + CHUNK_BYTES, endAt));
      if (!response.write(chunk)) await drained(response);
      if (response.destroyed) return;
      const dueMs = ((off + chunk.length) / this.bandwidthBytesPerS) * 1000 - (performance.now() - startedAtMs);
      if (dueMs > 1) await pause(dueMs);
    }
    if (fault?.kind === 'stall') return;
    if (fault?.kind === 'short body') {
      response.socket?.end();
    } else if (fault?.kind === 'reset') {
      // What was written should arrive before the reset does.
      setTimeout(() => response.socket?.resetAndDestroy(), 20);
    } else {
      response.end();
    }
  }
}

/** Resolves when more can be written, or the client is gone. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}

/** A delay that ends with the client's patience. */
function pause(delayMs: number, request?: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      request?.socket.off('close', done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    request?.socket.on('close', done);
  });
}

function signatureOf(request: IncomingMessage): { signedAt: string | undefined; accessKey: string | undefined } {
  const query = new URLSearchParams(request.url?.split('?')[1] ?? '');
  const header = request.headers['x-amz-date'];
  const credential =
    query.get('X-Amz-Credential') ?? /Credential=([^,]+)/.exec(request.headers.authorization ?? '')?.[1];
  return {
    signedAt: query.get('X-Amz-Date') ?? (typeof header === 'string' ? header : undefined),
    accessKey: credential?.split('/')[0],
  };
}

/** The right answer, made wrong. */
function spoil(answer: Answer, fault: Fault, object: Buffer | undefined): Answer {
  const { headers, body } = answer;
  switch (fault.kind) {
    case 'status': {
      const code = fault.code ?? (fault.status === 503 ? 'SlowDown' : 'InternalError');
      const retryAfter = fault.retryAfterS === undefined ? '' : String(fault.retryAfterS);
      const xml = `<Error><Code>${code}</Code><Message>scripted</Message></Error>`;
      return { status: fault.status, headers: { 'retry-after': retryAfter }, body: Buffer.from(xml) };
    }
    case 'extra bytes': {
      const more = Buffer.concat([body, Buffer.from('extra')]);
      return {
        ...answer,
        headers: fault.announced ? headers : { ...headers, 'content-length': String(body.length) },
        body: more,
      };
    }
    case 'whole instead of range':
      return { status: 200, headers: { ...headers, 'content-range': '' }, body: object ?? body };
    case 'wrong range': {
      const range = headers['content-range'] ?? '';
      const moved = range.replace(
        /(\d+)-(\d+)/,
        (_, from: string, to: string) => `${Number(from) + 1}-${Number(to) + 1}`,
      );
      return { ...answer, headers: { ...headers, 'content-range': moved } };
    }
    case 'shorter range': {
      const range = headers['content-range'] ?? '';
      const shorter = range.replace(/-(\d+)/, (_, to: string) => `-${Number(to) - 1}`);
      return { ...answer, headers: { ...headers, 'content-range': shorter }, body: body.subarray(0, -1) };
    }
    case 'flipped bit': {
      const flipped = Buffer.from(body);
      flipped[fault.at] = flipped[fault.at]! ^ 1;
      return { ...answer, body: flipped };
    }
    case 'changed etag':
      return { ...answer, headers: { ...headers, etag: '"another"' } };
    case 'no etag':
      return { ...answer, headers: { ...headers, etag: '' } };
    case 'redirect':
      return { status: fault.status, headers: { location: 'http://127.0.0.1:1/elsewhere' }, body: Buffer.alloc(0) };
    case 'html':
      return {
        status: fault.status,
        headers: { 'content-type': 'text/html' },
        body: Buffer.from('<html><body><h1>Bad gateway</h1>Please try again</body></html>'),
      };
    case 'gzip':
      return { ...answer, headers: { ...headers, 'content-encoding': 'gzip' }, body: gzipSync(body) };
    case 'chunked':
      return { ...answer, headers: { ...headers, 'content-length': '', 'transfer-encoding': 'chunked' } };
    case 'slow first byte':
    case 'stall':
    case 'short body':
    case 'reset':
    case 'no answer':
    case 'lost answer':
      return answer;
  }
}
