// HTTP/1.1 answers from bytes as they arrive (RFC 9112): one parser takes one answer. Strict, bounded, and free of copies
// where a body has a length. Used by plain-http.ts; knows no sockets and no S3.
import { KIB } from '../base/units.ts';

/** All names and values of a head; and what else must come in one line. */
const HEAD_BYTES_MAX = 16 * KIB;
const LINE_BYTES_MAX = 4 * KIB;

const STATUS_LINE = /^HTTP\/1\.([01]) (\d{3})(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)$/;
const CHUNK_SIZE = /^([0-9A-Fa-f]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;

/** A connection that failed, or an answer that is none; `code` is for messages. */
export class HttpError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

function malformed(what: string): HttpError {
  return new HttpError('ERR_HTTP_MALFORMED', `the answer has ${what}`);
}

/** Fields by their names in lower case; of a name that comes several times the values are one list (RFC 9110 §5.3). */
export type HttpFields = Readonly<Record<string, string | undefined>>;

export interface AnswerHead {
  readonly status: number;
  readonly fields: HttpFields;
  /** The connection may be used again when the answer is over. */
  readonly persistent: boolean;
}

/** Told of an answer, in order. */
export interface AnswerSink {
  /** Of the final answer: those before it (1xx) are passed over. */
  onHead(head: AnswerHead): void;
  /** Never empty; only there until it returns. */
  onData(chunk: Buffer): void;
}

type State = 'head' | 'counted' | 'until end' | 'chunk size' | 'chunk' | 'chunk end' | 'trailer' | 'over';

const NOTHING = Buffer.alloc(0);

export class AnswerParser {
  readonly #sink: AnswerSink;
  readonly #bodyless: boolean;
  #state: State = 'head';
  /** Bytes to come of the body or of the chunk. */
  #left = 0;
  /** The beginning of a head or of a line. */
  #pending: Buffer = NOTHING;

  constructor(method: 'GET' | 'HEAD', sink: AnswerSink) {
    this.#sink = sink;
    this.#bodyless = method === 'HEAD';
  }

  get over(): boolean {
    return this.#state === 'over';
  }

  /**
   * Keeps nothing of `bytes`.
   * @returns how many of them are behind the answer
   * @throws HttpError
   */
  take(bytes: Buffer): number {
    let rest = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    this.#pending = NOTHING;
    while (rest.length > 0 && this.#state !== 'over') {
      const used = this.#step(rest);
      if (used === 0) {
        this.#pending = Buffer.from(rest);
        return 0;
      }
      if (used === rest.length) return 0;
      rest = rest.subarray(used);
    }
    return rest.length;
  }

  /** The connection has ended. @throws HttpError where the answer has not */
  end(): void {
    if (this.#state === 'until end') this.#state = 'over';
    else if (this.#state !== 'over') throw new HttpError('ERR_CONNECTION_CLOSED', 'closed before the answer was over');
  }

  /** @returns how many bytes were taken, 0 where there must be more of them first */
  #step(bytes: Buffer): number {
    switch (this.#state) {
      case 'head':
        return this.#takeHead(bytes);
      case 'counted':
      case 'chunk': {
        const count = Math.min(this.#left, bytes.length);
        this.#left -= count;
        this.#sink.onData(count === bytes.length ? bytes : bytes.subarray(0, count));
        if (this.#left > 0) return count;
        this.#state = this.#state === 'chunk' ? 'chunk end' : 'over';
        return count;
      }
      case 'until end':
        this.#sink.onData(bytes);
        return bytes.length;
      case 'chunk size':
      case 'chunk end':
      case 'trailer':
        return this.#takeLine(bytes);
      case 'over':
        return 0;
    }
  }

  #takeHead(bytes: Buffer): number {
    const length = bytes.indexOf('\r\n\r\n');
    if (length > HEAD_BYTES_MAX || (length < 0 && bytes.length > HEAD_BYTES_MAX)) throw malformed('too long a head');
    if (length < 0) return 0;
    const lines = bytes.toString('latin1', 0, length).split('\r\n');
    const first = STATUS_LINE.exec(lines[0]!);
    if (!first) throw malformed('no status line');
    const status = Number(first[2]);
    if (status < 100 || status === 101) throw malformed(`status ${status}`);
    const fields = parseFields(lines);
    if (status < 200) return length + 4;
    this.#state = this.#bodyOf(status, fields);
    const persistent = isKept(first[1] === '1', fields['connection']) && this.#state !== 'until end';
    this.#sink.onHead({ status, fields, persistent });
    if (this.#state === 'counted' && this.#left === 0) this.#state = 'over';
    return length + 4;
  }

  /** RFC 9112 §6.3. */
  #bodyOf(status: number, fields: HttpFields): State {
    const [length, encoding] = [fields['content-length'], fields['transfer-encoding']];
    if (length !== undefined && encoding !== undefined) throw malformed('a length and a transfer encoding');
    if (length !== undefined && !/^\d{1,15}$/.test(length)) throw malformed('no valid length');
    if (this.#bodyless || status === 204 || status === 304) return 'counted';
    if (length !== undefined) {
      this.#left = Number(length);
      return 'counted';
    }
    if (encoding === undefined) return 'until end';
    if (encoding.toLowerCase() !== 'chunked') throw malformed('a transfer encoding that was not asked for');
    return 'chunk size';
  }

  #takeLine(bytes: Buffer): number {
    const length = bytes.indexOf('\r\n');
    if (length > LINE_BYTES_MAX || (length < 0 && bytes.length > LINE_BYTES_MAX)) throw malformed('too long a line');
    if (length < 0) return 0;
    const line = bytes.toString('latin1', 0, length);
    if (this.#state === 'chunk size') {
      const digits = CHUNK_SIZE.exec(line)?.[1];
      if (digits === undefined) throw malformed('a chunk without a size');
      this.#left = Number.parseInt(digits, 16);
      this.#state = this.#left > 0 ? 'chunk' : 'trailer';
    } else if (this.#state === 'chunk end') {
      if (line !== '') throw malformed('a chunk of another size');
      this.#state = 'chunk size';
    } else if (line === '') {
      this.#state = 'over';
    } else if (!FIELD.test(line)) {
      throw malformed('a trailer that is no field');
    }
    return length + 2;
  }
}

/** RFC 9112 §9.3. */
function isKept(isCurrent: boolean, connection: string | undefined): boolean {
  if (connection === undefined) return isCurrent;
  const options = connection.toLowerCase().split(/[\t ]*,[\t ]*/);
  return isCurrent ? !options.includes('close') : options.includes('keep-alive');
}

/** Of all lines but the first. */
function parseFields(lines: readonly string[]): HttpFields {
  // A name may be "__proto__".
  const fields = Object.create(null) as Record<string, string>;
  for (let index = 1; index < lines.length; index += 1) {
    const field = FIELD.exec(lines[index]!);
    if (!field) throw malformed('a line that is no field');
    const name = field[1]!.toLowerCase();
    const value = field[2]!.trimEnd();
    fields[name] = name in fields ? `${fields[name]}, ${value}` : value;
  }
  return fields;
}
