// A request's JSON body: read under a bound, strictly UTF-8, and the two shapes that endpoints take. Every refusal
// names the field.
import { isByteCount, type ByteRange } from '../base/byte-range.ts';
import { SeekfsError } from '../base/errors.ts';
import type { Extent } from '../read/reader.ts';
import type { RequestHead } from './exchange.ts';
import { badParameter } from './query.ts';
import { Refusal } from './refusal.ts';

const UTF8 = new TextDecoder('utf-8', { fatal: true });

function tooLarge(message: string): Refusal {
  return new Refusal('usage', message, { status: 413, headers: { Connection: 'close' } });
}

/** @throws usage where it is larger than the bound (413), is encoded (415), or is no JSON (400) */
export async function readJsonBody(request: RequestHead, bodyBytesMax: number): Promise<unknown> {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new Refusal('usage', `the body has the encoding ${encoding.slice(0, 40)}; send it plain`, { status: 415 });
  }
  const refusal = tooLarge(`the body is larger than ${bodyBytesMax} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) throw refusal;
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request) {
      bytes += chunk.length;
      if (bytes > bodyBytesMax) throw refusal;
      chunks.push(chunk);
    }
  } catch (error) {
    if (error === refusal) throw error;
    throw new SeekfsError('interrupted', 'the client has gone in the middle of its body', { cause: error });
  }
  if (bytes === 0) throw new SeekfsError('usage', 'the body is missing; send JSON');
  try {
    return JSON.parse(UTF8.decode(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)));
  } catch (error) {
    throw new SeekfsError('usage', `the body is no JSON: ${(error as Error).message.slice(0, 100)}`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseByteCount(value: unknown, name: string): number {
  if (value === undefined) throw badParameter(name, 'is missing');
  if (!isByteCount(value)) {
    throw badParameter(name, `is ${JSON.stringify(value).slice(0, 40)}, not a whole number from 0 to 9007199254740991`);
  }
  return value;
}

function parsePath(value: unknown, name: string): string {
  if (value === undefined) throw badParameter(name, 'is missing');
  if (typeof value !== 'string') throw badParameter(name, 'is not a string');
  if (value === '') throw badParameter(name, 'is empty');
  return value;
}

function refuseOthers(value: Record<string, unknown>, known: readonly string[], where: string): void {
  for (const name in value) {
    if (!known.includes(name))
      throw badParameter(`${where}.${name.slice(0, 64)}`, `is not known; use ${known.join(', ')}`);
  }
}

/** The body of POST /readv. @throws usage, naming the extent and its field */
export function parseExtents(body: unknown, extentsMax: number): Extent[] {
  if (!Array.isArray(body)) throw new SeekfsError('usage', 'the body is not an array of {path, off, len}');
  if (body.length === 0) throw new SeekfsError('usage', 'the body is an empty array; ask for at least one extent');
  if (body.length > extentsMax) throw tooLarge(`the body has ${body.length} extents; at most ${extentsMax} go in one`);
  return body.map((item: unknown, index) => {
    const where = `[${index}]`;
    if (!isObject(item)) throw badParameter(where, 'is not an object of path, off and len');
    refuseOthers(item, ['path', 'off', 'len'], where);
    return {
      path: parsePath(item['path'], `${where}.path`),
      off: parseByteCount(item['off'], `${where}.off`),
      len: parseByteCount(item['len'], `${where}.len`),
    };
  });
}

export interface HintWindow {
  readonly path: string;
  readonly ranges: readonly ByteRange[];
}

export interface Hint {
  readonly ns: string | undefined;
  readonly epoch: number;
  readonly priority: number;
  /** Undefined: as long as it takes. */
  readonly ttlMs: number | undefined;
  readonly windows: readonly HintWindow[];
}

/** The body of POST /hints. @throws usage, naming the field */
export function parseHint(body: unknown, rangesMax: number): Hint {
  if (!isObject(body))
    throw new SeekfsError('usage', 'the body is not an object of epoch, priority, ttl_ms and windows');
  refuseOthers(body, ['ns', 'epoch', 'priority', 'ttl_ms', 'windows'], 'body');
  const { ns, epoch, priority, ttl_ms: ttlMs, windows } = body;
  if (!Array.isArray(windows)) throw badParameter('windows', 'is not an array of {path, ranges}');
  let ranges = 0;
  return {
    ns: ns === undefined ? undefined : parsePath(ns, 'ns'),
    epoch: epoch === undefined ? 0 : parseByteCount(epoch, 'epoch'),
    priority: parsePriority(priority),
    ttlMs: ttlMs === undefined ? undefined : parseByteCount(ttlMs, 'ttl_ms'),
    windows: windows.map((window: unknown, index) => {
      const where = `windows[${index}]`;
      if (!isObject(window)) throw badParameter(where, 'is not an object of path and ranges');
      refuseOthers(window, ['path', 'ranges'], where);
      const { path, ranges: pairs } = window;
      if (!Array.isArray(pairs)) throw badParameter(`${where}.ranges`, 'is not an array of [off, len]');
      ranges += pairs.length;
      if (ranges > rangesMax) throw tooLarge(`the hint has more than ${rangesMax} ranges`);
      return {
        path: parsePath(path, `${where}.path`),
        ranges: pairs.map((pair, at) => parsePair(pair, `${where}.ranges[${at}]`)),
      };
    }),
  };
}

/** The Rust seekfs has words for it. */
function parsePriority(priority: unknown): number {
  if (priority === undefined || priority === 'normal') return 0;
  return priority === 'high' ? 1 : parseByteCount(priority, 'priority');
}

function parsePair(pair: unknown, where: string): ByteRange {
  if (!Array.isArray(pair) || pair.length !== 2) throw badParameter(where, 'is not [off, len]');
  return { off: parseByteCount(pair[0], `${where}[0]`), len: parseByteCount(pair[1], `${where}[1]`) };
}
