// A client of `seekfs serve` for programs (`seekfs/client`) and for `--via`: the bytes of files and extents, whole or an
// error. A connection that breaks, and a server that is restarted, cost a retry from where the bytes stopped.
import type { Dispatcher, Pool } from 'undici';
import { systemClock } from './base/clock.ts';
import { abortError, ERROR_TABLE, SeekfsError, throwIfAborted, type ErrorCode } from './base/errors.ts';
import { decodeFrameHead, FRAME_HEAD_BYTES, FRAMES_CONTENT_TYPE } from './blobapi/frames.ts';
import type { Extent } from './read/reader.ts';

export { SeekfsError, type ErrorCode } from './base/errors.ts';
export type { Extent } from './read/reader.ts';

export interface SeekfsClientOptions {
  /** "http://127.0.0.1:7070", with a path where a proxy has the server below one. */
  readonly url: string;
  /** Bearer token, where the server wants one. */
  readonly token?: string | undefined;
  /** Certificates to trust beside the usual ones, in PEM. */
  readonly caPem?: string | undefined;
  /** Default 4; the pauses between grow from 100 ms. */
  readonly attemptsMax?: number | undefined;
}

export interface ClientReadOptions {
  /** "3" or "3@sha256:…"; default: the current version. */
  readonly version?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface BlobOptions extends ClientReadOptions {
  readonly off?: number | undefined;
  /** Clipped at the end of the file; default: the rest. */
  readonly len?: number | undefined;
  /** The hash that the file must have. */
  readonly hash?: string | undefined;
}

export interface ClientManifest {
  readonly version: number;
  /** Of the manifest's object. */
  readonly digest: string;
  /** Of the whole version. */
  readonly fileCount: number;
  readonly totalBytes: number;
  readonly packed: Buffer;
}

export interface ClientFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** "sha256:<hex>"; undefined in manifests that were written without. */
  readonly hash: string | undefined;
}

/** As /ls answers. */
interface Listing {
  readonly version: number;
  readonly digest: string;
  readonly files: readonly { readonly path: string; readonly size: number; readonly hash?: string }[];
  readonly next_start_after: string | null;
}

export interface HintRequest {
  readonly epoch?: number | undefined;
  readonly priority?: number | undefined;
  readonly ttlMs?: number | undefined;
  readonly windows: readonly { readonly path: string; readonly ranges: readonly (readonly [number, number])[] }[];
}

const RETRY_MS = 100;
const LIST_PAGE_FILES = 10_000;
const CONNECTIONS_MAX = 64;
const ERROR_BYTES_MAX = 64 * 1024;

type Parameters = Readonly<Record<string, string | number | undefined>>;

interface Ask {
  readonly method?: 'GET' | 'POST';
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
}

type Answer = Dispatcher.ResponseData;

export class SeekfsClient {
  readonly url: string;
  readonly #origin: string;
  readonly #basePath: string;
  readonly #options: SeekfsClientOptions;
  #pool: Promise<Pool> | undefined;

  /** Connects at the first request. @throws usage where the URL is none */
  constructor(options: SeekfsClientOptions) {
    let url: URL;
    try {
      url = new URL(options.url);
    } catch {
      throw new SeekfsError('usage', `"${options.url}" is not a URL; write http://host:port`);
    }
    if (!/^https?:$/.test(url.protocol)) throw new SeekfsError('usage', `${url.protocol} is not http: or https:`);
    this.#origin = url.origin;
    this.#basePath = url.pathname.replace(/\/+$/, '');
    this.url = this.#origin + this.#basePath;
    this.#options = options;
  }

  /**
   * Bytes of a file as they arrive; the consumer owns each buffer. Leaving the loop ends the request.
   * @throws what the server answers, by its code; store_unavailable where it cannot be reached
   */
  async *blob(ns: string, path: string, options: BlobOptions = {}): AsyncGenerator<Buffer, void, undefined> {
    const { hash, signal } = options;
    let { version } = options;
    let off = options.off ?? 0;
    let rest = options.len;
    let failures = 0;
    for (;;) {
      try {
        const answer = await this.#ask('/blob', { ns, path, off, len: rest, hash, version }, { signal });
        // What comes after a retry must be of the same version.
        version ??= String(answer.headers['x-seekfs-version']);
        rest = Number(answer.headers['content-length']);
        for await (const chunk of answer.body as AsyncIterable<Buffer>) {
          off += chunk.length;
          rest -= chunk.length;
          failures = 0;
          yield chunk;
        }
        if (rest === 0) return;
        throw new SeekfsError('store_unavailable', `${this.url} broke off ${rest} bytes before the end of ${path}`);
      } catch (error) {
        failures += 1;
        await this.#pause(error, failures, signal);
        if (rest === 0) return;
      }
    }
  }

  /**
   * The bytes of each extent, in request order, or the error that it met.
   * @throws as `blob`, for what concerns all of them
   */
  async readv(
    ns: string,
    extents: readonly Extent[],
    options: ClientReadOptions = {},
  ): Promise<(Buffer | SeekfsError)[]> {
    const headers = { accept: FRAMES_CONTENT_TYPE, 'content-type': 'application/json' };
    const body = JSON.stringify(extents.map(({ path, off, len }) => ({ path, off, len })));
    return this.#retried(options.signal, async () => {
      const parameters = { ns, version: options.version };
      const answer = await this.#ask('/readv', parameters, { method: 'POST', headers, body, signal: options.signal });
      return parseFrames(Buffer.from(await answer.body.arrayBuffer()), extents.length);
    });
  }

  /** The bytes of the extents one after the other, as they arrive; one bad extent fails all. */
  async *readvStream(
    ns: string,
    extents: readonly Extent[],
    options: ClientReadOptions = {},
  ): AsyncGenerator<Buffer, void, undefined> {
    const body = JSON.stringify(extents.map(({ path, off, len }) => ({ path, off, len })));
    const headers = { 'content-type': 'application/json' };
    const answer = await this.#retried(options.signal, () =>
      this.#ask('/readv', { ns, version: options.version }, { method: 'POST', headers, body, signal: options.signal }),
    );
    try {
      yield* answer.body as AsyncIterable<Buffer>;
    } catch (error) {
      throw this.#translate(error, options.signal);
    }
  }

  /** The manifest, packed as gzip, or of its files only the one at `path`, or `limit` of them. */
  async manifest(
    ns: string,
    options: ClientReadOptions & { readonly path?: string | undefined; readonly limit?: number | undefined } = {},
  ): Promise<ClientManifest> {
    const { version, path, limit, signal } = options;
    return this.#retried(signal, async () => {
      const headers = { 'accept-encoding': 'gzip' };
      const answer = await this.#ask('/manifest', { ns, version, path, limit }, { headers, signal });
      return {
        version: Number(answer.headers['x-seekfs-version']),
        digest: String(answer.headers['x-seekfs-digest']),
        fileCount: Number(answer.headers['x-seekfs-files']),
        totalBytes: Number(answer.headers['x-seekfs-bytes']),
        packed: Buffer.from(await answer.body.arrayBuffer()),
      };
    });
  }

  /** The files of one version, in UTF-8 byte order of their paths; all of the same version, however long it takes. */
  async *list(
    ns: string,
    options: ClientReadOptions & { readonly prefix?: string | undefined } = {},
  ): AsyncGenerator<ClientFile, void, undefined> {
    const { prefix, signal } = options;
    let { version } = options;
    let startAfter: string | undefined;
    do {
      const parameters = { ns, version, prefix: prefix || undefined, start_after: startAfter, limit: LIST_PAGE_FILES };
      const page = await this.#retried(signal, async () => {
        const answer = await this.#ask('/ls', parameters, { signal });
        return (await answer.body.json()) as Listing;
      });
      version ??= `${page.version}@${page.digest}`;
      for (const { path, size, hash } of page.files) yield { path, sizeBytes: size, hash };
      startAfter = page.next_start_after ?? undefined;
    } while (startAfter !== undefined);
  }

  /** Queues what will be read soon. */
  async hint(ns: string, request: HintRequest, options: ClientReadOptions = {}): Promise<void> {
    const { ttlMs, ...rest } = request;
    const body = JSON.stringify({ ...rest, ttl_ms: ttlMs });
    const ask: Ask = { method: 'POST', body, signal: options.signal };
    await this.#retried(options.signal, async () => {
      const answer = await this.#ask('/hints', { ns, version: options.version }, ask);
      await answer.body.dump();
    });
  }

  async close(): Promise<void> {
    await (await this.#pool)?.destroy();
  }

  async #ask(path: string, parameters: Parameters, ask: Ask): Promise<Answer> {
    const pairs = Object.entries(parameters).filter(([, value]) => value !== undefined);
    const query = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value!)}`).join('&');
    const { token } = this.#options;
    const headers = token === undefined ? ask.headers : { ...ask.headers, authorization: `Bearer ${token}` };
    const request: Dispatcher.RequestOptions = {
      path: `${this.#basePath}${path}?${query}`,
      method: ask.method ?? 'GET',
    };
    if (headers) request.headers = headers;
    if (ask.body !== undefined) request.body = ask.body;
    if (ask.signal) request.signal = ask.signal;
    let answer: Answer;
    try {
      this.#pool ??= this.#connect();
      answer = await (await this.#pool).request(request);
    } catch (error) {
      throw this.#translate(error, ask.signal);
    }
    if (answer.statusCode < 300) return answer;
    throw await this.#errorOf(answer);
  }

  async #connect(): Promise<Pool> {
    const { Pool: UndiciPool } = await import('undici');
    const { caPem } = this.#options;
    const connect = caPem === undefined ? {} : { connect: { ca: caPem } };
    return new UndiciPool(this.#origin, { connections: CONNECTIONS_MAX, ...connect });
  }

  async #errorOf(answer: Answer): Promise<SeekfsError> {
    const text = (await answer.body.text().catch(() => '')).slice(0, ERROR_BYTES_MAX);
    const retryAfterS = Number(answer.headers['retry-after']);
    const more = retryAfterS > 0 ? { retryAfterMs: retryAfterS * 1000 } : {};
    try {
      const { code, message, details } = (JSON.parse(text) as ReturnType<SeekfsError['toJSON']>).error;
      if (code in ERROR_TABLE) return new SeekfsError(code, message, { details: details ?? {}, ...more });
    } catch {
      // Not the server's own words: a proxy's, perhaps.
    }
    const code: ErrorCode =
      answer.statusCode === 503 || answer.statusCode === 429 ? 'store_throttled' : 'store_unavailable';
    return new SeekfsError(code, `${this.url} answered ${answer.statusCode}`, more);
  }

  #translate(error: unknown, signal: AbortSignal | undefined): SeekfsError {
    if (signal?.aborted) return abortError(signal);
    if (error instanceof SeekfsError) return error;
    const reason = error instanceof Error ? error.message : String(error);
    return new SeekfsError('store_unavailable', `cannot reach ${this.url}: ${reason}; is "seekfs serve" running?`, {
      cause: error,
    });
  }

  /** Returns when it is time to try again; throws what cannot be mended by that. */
  async #pause(thrown: unknown, failures: number, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    const error = this.#translate(thrown, signal);
    if (!error.retryable || failures >= (this.#options.attemptsMax ?? 4)) throw error;
    await systemClock.sleep(error.retryAfterMs ?? RETRY_MS * 2 ** (failures - 1), signal);
  }

  async #retried<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures += 1) {
      try {
        return await work();
      } catch (error) {
        await this.#pause(error, failures, signal);
      }
    }
  }
}

/** @throws store_unavailable where the answer is no sequence of frames, one an extent */
function parseFrames(body: Buffer, count: number): (Buffer | SeekfsError)[] {
  const items: (Buffer | SeekfsError)[] = [];
  let at = 0;
  while (at + FRAME_HEAD_BYTES <= body.length && items.length < count) {
    const { index, status, lengthBytes } = decodeFrameHead(body.subarray(at, at + FRAME_HEAD_BYTES));
    const bytes = body.subarray(at + FRAME_HEAD_BYTES, at + FRAME_HEAD_BYTES + lengthBytes);
    if (index !== items.length || bytes.length < lengthBytes) break;
    items.push(status === 200 ? bytes : frameError(bytes));
    at += FRAME_HEAD_BYTES + lengthBytes;
  }
  if (items.length === count && at === body.length) return items;
  throw new SeekfsError('store_unavailable', `the answer has ${items.length} whole frames of ${count}`);
}

function frameError(bytes: Buffer): SeekfsError {
  const { code, message, details } = (JSON.parse(bytes.toString()) as ReturnType<SeekfsError['toJSON']>).error;
  return new SeekfsError(code, message, { details });
}
