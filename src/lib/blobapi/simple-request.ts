// Recognises the one request that most of a loader's traffic is: a GET of a blob, whole, alone in what arrived, with
// nothing in its head that HTTP/1.1 leaves room to read in two ways. Pure. Knows nothing of connections; what it does
// not recognise is node:http's to parse.
import type { IncomingHttpHeaders } from 'node:http';

export interface SimpleRequest {
  /** The target as it was sent. */
  readonly url: string;
  /** By lower-case name, as node:http gives them. */
  readonly headers: IncomingHttpHeaders;
}

/** Longer ones are not looked at: a loader's have 100 to 300 bytes. */
export const SIMPLE_REQUEST_BYTES_MAX = 2048;

const START = 'GET /blob?';
const VERSION = ' HTTP/1.1\r\n';
/** RFC 3986 §3.4. */
const QUERY = /^[\w\-.~!$&'()*+,;=:@%/?]+$/;
/** Visible ASCII, and spaces inside. */
const VALUE = /^[!-~](?:[ -~]*[!-~])?$/;

/**
 * The fields that such a request may have, each once, and what their values must be. None of them changes where the
 * request ends, how long the connection lives, what an intermediary does, or under which condition there is an answer.
 */
const FIELDS: ReadonlyMap<string, RegExp> = new Map([
  ['host', /^[\w.\-:[\]]+$/],
  ['connection', /^keep-alive$/i],
  ['range', /^bytes=(?:\d{1,16}-\d{0,16}|-\d{1,16})$/],
  ['authorization', VALUE],
  ['x-request-id', VALUE],
  ['user-agent', VALUE],
  ['accept', VALUE],
  ['accept-encoding', VALUE],
  ['accept-language', VALUE],
  ['cache-control', VALUE],
  ['pragma', VALUE],
  ['traceparent', VALUE],
  ['tracestate', VALUE],
  // Of Node's fetch.
  ['sec-fetch-mode', VALUE],
]);

/** Undefined where the bytes are anything else than exactly one such request. */
export function parseSimpleRequest(bytes: Buffer): SimpleRequest | undefined {
  if (bytes.length > SIMPLE_REQUEST_BYTES_MAX) return undefined;
  const text = bytes.toString('latin1');
  if (!text.startsWith(START) || !text.endsWith('\r\n\r\n')) return undefined;
  const lineEnd = text.indexOf('\r\n') + 2;
  const urlEnd = lineEnd - VERSION.length;
  if (!text.startsWith(VERSION, urlEnd) || !QUERY.test(text.slice(START.length, urlEnd))) return undefined;
  const headers = parseFields(text, lineEnd);
  return headers && { url: text.slice('GET '.length, urlEnd), headers };
}

/** The fields from `start` to the empty line, which must be the end of the text. */
function parseFields(text: string, start: number): IncomingHttpHeaders | undefined {
  const headers: IncomingHttpHeaders = {};
  const end = text.length - '\r\n'.length;
  for (let at = start; at < end;) {
    const colon = text.indexOf(':', at);
    const lineEnd = text.indexOf('\r\n', at);
    if (colon === -1 || colon > lineEnd) return undefined;
    const name = text.slice(at, colon).toLowerCase();
    const value = text.slice(text[colon + 1] === ' ' ? colon + 2 : colon + 1, lineEnd);
    if (FIELDS.get(name)?.test(value) !== true || headers[name] !== undefined) return undefined;
    headers[name] = value;
    at = lineEnd + '\r\n'.length;
  }
  return headers.host === undefined ? undefined : headers;
}
