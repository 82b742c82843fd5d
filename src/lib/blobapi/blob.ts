// GET and HEAD /blob: one file, or a window of it, by RFC 9110 with single and multiple ranges. The window that `off`
// and `len` name is the representation; a Range header selects within it.
import { randomBytes } from 'node:crypto';
import { clipRange, type ByteRange } from '../base/byte-range.ts';
import { isSeekfsError, SeekfsError } from '../base/errors.ts';
import { andThen, type MaybePromise } from '../base/maybe-promise.ts';
import type { FileEntry, PinnedVersion } from '../manifest/types.ts';
import type { Reader } from '../read/reader.ts';
import type { Activity } from './activity.ts';
import type { Exchange, RawHeaders } from './exchange.ts';
import { ifMatchHolds, ifNoneMatchHolds, ifRangeHolds, parseRange } from './http-range.ts';
import { badParameter, type Query } from './query.ts';
import { Refusal } from './refusal.ts';

export interface BlobContext {
  readonly reader: Reader;
  readonly version: PinnedVersion;
  readonly rangesMax: number;
  readonly activity?: Activity | undefined;
}

function checkHash(query: Query, entry: FileEntry): void {
  const asked = query.optional('hash');
  if (asked === undefined) return;
  if (!/^(sha256:)?[0-9a-f]{64}$/.test(asked))
    throw badParameter('hash', 'is not 64 lower-case hex digits, with or without sha256:');
  const hash = asked.startsWith('sha256:') ? asked : `sha256:${asked}`;
  if (hash === entry.hash) return;
  throw new SeekfsError('hash_mismatch', `${entry.path} has hash ${entry.hash ?? 'none'}, not ${hash}`, {
    details: { path: entry.path, expected: hash, actual: entry.hash ?? null },
  });
}

function clipWindow(query: Query, entry: FileEntry): ByteRange {
  try {
    return clipRange({ path: entry.path, off: query.count('off') ?? 0, len: query.count('len') }, entry.sizeBytes);
  } catch (error) {
    if (!isSeekfsError(error, 'range_not_satisfiable')) throw error;
    throw unsatisfiable(error.message, entry.sizeBytes);
  }
}

function unsatisfiable(message: string, sizeBytes: number): Refusal {
  const headers = { 'Content-Range': `bytes */${sizeBytes}` };
  return new Refusal('range_not_satisfiable', message, { headers, details: { size: sizeBytes } });
}

/** §13.2.2: If-Match first, then If-None-Match; `false` where the answer was 304. */
function conditionsHold(exchange: Exchange, etag: string | undefined, headers: RawHeaders): boolean {
  const { headers: asked } = exchange.request;
  const ifMatch = asked['if-match'];
  if (ifMatch !== undefined && !ifMatchHolds(ifMatch, etag)) {
    throw new SeekfsError('precondition_failed', `If-Match does not hold: the file is ${etag ?? 'without a hash'}`);
  }
  const ifNoneMatch = asked['if-none-match'];
  if (ifNoneMatch === undefined || ifNoneMatchHolds(ifNoneMatch, etag)) return true;
  exchange.head(304, headers);
  exchange.response.end();
  return false;
}

/** @throws usage, path_not_found, hash_mismatch, range_not_satisfiable, precondition_failed, and what `stream` throws */
export function answerBlob(exchange: Exchange, query: Query, context: BlobContext): MaybePromise<void> {
  const { version } = context;
  const path = query.required('path');
  exchange.subject = `${version.ns}/${path}`;
  return andThen(version.lookup(path), (entry) => {
    checkHash(query, entry);
    return answerEntry(exchange, query, { context, entry });
  });
}

/** @throws as `answerBlob` */
export function answerEntry(
  exchange: Exchange,
  query: Query,
  { context, entry }: { readonly context: BlobContext; readonly entry: FileEntry },
): MaybePromise<void> {
  const { version, rangesMax } = context;
  const window = clipWindow(query, entry);
  const etag = entry.hash === undefined ? undefined : `"${entry.hash}"`;
  const headers: RawHeaders = ['Accept-Ranges', 'bytes', 'X-Seekfs-Version', String(version.version)];
  if (etag !== undefined) headers.push('ETag', etag);
  if (!conditionsHold(exchange, etag, headers)) return undefined;

  const { range } = exchange.request.headers;
  const ifRange = exchange.request.headers['if-range'] as string | undefined;
  // §14.2: a Range means something for GET only.
  const isRanged = range !== undefined && !exchange.isHead && (ifRange === undefined || ifRangeHolds(ifRange, etag));
  const asked = isRanged ? parseRange(range, { sizeBytes: window.len, rangesMax }) : { kind: 'whole' as const };
  if (asked.kind === 'unsatisfiable') {
    throw unsatisfiable(
      `Range ${range!.slice(0, 100)} has nothing in ${window.len} bytes, or too many ranges`,
      window.len,
    );
  }
  if (!exchange.isHead) context.activity?.note(version.ns, entry.path, window.len);
  const body = { exchange, context, entry, window };
  if (asked.kind === 'whole') {
    headers.push('Content-Type', 'application/octet-stream', 'Content-Length', String(window.len));
    return sendRange(body, window, () => exchange.head(200, headers));
  }
  if (asked.ranges.length > 1) return sendMultipart(body, asked.ranges, headers);
  const [only] = asked.ranges;
  headers.push('Content-Type', 'application/octet-stream', 'Content-Length', String(only!.len));
  headers.push('Content-Range', contentRange(only!, window.len));
  return sendRange(body, { off: window.off + only!.off, len: only!.len }, () => exchange.head(206, headers));
}

function contentRange(range: ByteRange, sizeBytes: number): string {
  return `bytes ${range.off}-${range.off + range.len - 1}/${sizeBytes}`;
}

interface Body {
  readonly exchange: Exchange;
  readonly context: BlobContext;
  readonly entry: FileEntry;
  readonly window: ByteRange;
}

/** The head goes out with the first verified slab, so that whatever fails before it is still a proper error. */
function sendRange(body: Body, range: ByteRange, sendHead: () => void): MaybePromise<void> {
  const { exchange } = body;
  if (exchange.isHead || range.len === 0) {
    sendHead();
    exchange.response.end();
    return undefined;
  }
  return sendSlabs(body, range, { beforeFirst: sendHead, endsAnswer: true });
}

interface Sending {
  /** Called once, when the first slab is there. */
  readonly beforeFirst: () => void;
  readonly endsAnswer: boolean;
}

function sendSlabs(body: Body, range: ByteRange, options: Sending): MaybePromise<void> {
  const { exchange, context, entry } = body;
  return andThen(context.reader.cached(context.version, entry, range), (slabs) => {
    if (!slabs) return streamSlabs(body, range, options);
    options.beforeFirst();
    return exchange.sendAll(slabs, options.endsAnswer);
  });
}

async function streamSlabs({ exchange, context, entry }: Body, range: ByteRange, options: Sending): Promise<void> {
  const { reader, version } = context;
  let restBytes = range.len;
  let isFirst = true;
  for await (const slabs of reader.streamInline(version, entry, range, { signal: exchange.signal })) {
    for (const slab of slabs) restBytes -= slab.bytes.length;
    if (restBytes < 0) {
      for (const slab of slabs) slab.release();
      break;
    }
    if (isFirst) options.beforeFirst();
    isFirst = false;
    const wait = exchange.sendAll(slabs, options.endsAnswer && restBytes === 0);
    if (wait) await wait;
    if (restBytes === 0) return;
  }
  throw new SeekfsError('unexpected', `the reader was off by ${restBytes} bytes of ${entry.path}`);
}

/** RFC 9110 §14.6. Its length is known beforehand, so that a body that is cut short is seen. */
async function sendMultipart(body: Body, ranges: readonly ByteRange[], headers: RawHeaders): Promise<void> {
  const { exchange, window } = body;
  const boundary = randomBytes(16).toString('hex');
  const partHeads = ranges.map(
    (range, index) =>
      `${index === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: application/octet-stream\r\n` +
      `Content-Range: ${contentRange(range, window.len)}\r\n\r\n`,
  );
  const tail = `\r\n--${boundary}--\r\n`;
  const lengthBytes = ranges.reduce((sum, range, index) => sum + partHeads[index]!.length + range.len, tail.length);
  headers.push('Content-Type', `multipart/byteranges; boundary=${boundary}`, 'Content-Length', String(lengthBytes));
  for (const [index, range] of ranges.entries()) {
    const absolute = { off: window.off + range.off, len: range.len };
    const beforeFirst = (): void => {
      if (index === 0) exchange.head(206, headers);
      exchange.sendAhead(partHeads[index]!);
    };
    await sendSlabs(body, absolute, { beforeFirst, endsAnswer: false });
  }
  exchange.sentBytes += tail.length;
  exchange.response.end(tail);
}
