// The table of endpoints: path, method, parameters, who may ask, and what they answer. routes.ts has the functions; the
// OpenAPI document and docs/blob-api.md are held to it by tests. Pure.
import { FRAMES_CONTENT_TYPE } from './frames.ts';

/** `anyone`; `namespace`: whoever has a token for the namespace asked for; `all`: whoever has one for all of them. */
export type Access = 'anyone' | 'namespace' | 'all';

export const PARAMETERS = {
  ns: { type: 'string', about: 'namespace' },
  path: { type: 'string', about: 'path of a file in the manifest' },
  key: { type: 'string', about: 'key of an object in the store' },
  off: { type: 'integer', about: 'first byte; default 0' },
  len: { type: 'integer', about: 'number of bytes, clipped at the end of the file; default: the rest' },
  hash: {
    type: 'string',
    about: 'the hash that the file must have: 64 hex digits, with or without sha256:; another one is 409',
  },
  version: {
    type: 'string',
    about: 'version: 3, v-3 or 3@sha256:<64 hex digits> of its manifest; default: the current one',
  },
  prefix: { type: 'string', about: 'prefix of paths' },
  start_after: { type: 'string', about: 'list paths after this one only' },
  limit: { type: 'integer', about: 'at most so many files' },
} as const;

export type ParameterName = keyof typeof PARAMETERS;

interface Endpoint {
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly access: Access;
  readonly parameters: readonly ParameterName[];
  readonly required: readonly ParameterName[];
  readonly about: string;
  /** Statuses besides those of every endpoint: 400, 401, 408, 414, 429, 431, 500 and 503. */
  readonly answers: Readonly<Record<number, string>>;
  readonly contentTypes: readonly string[];
}

const JSON_TYPE = ['application/json'] as const;
const FAULTS = {
  404: 'no such namespace, version or path',
  502: 'the store failed, or its bytes are damaged',
} as const;

export const ENDPOINTS = {
  blob: {
    path: '/blob',
    method: 'GET',
    access: 'namespace',
    parameters: ['ns', 'path', 'off', 'len', 'hash', 'version'],
    required: ['ns', 'path'],
    about: 'bytes of a file; honours Range, If-Range, If-Match and If-None-Match',
    answers: {
      200: 'the bytes',
      206: 'the ranges',
      304: 'the file is the one that the client has',
      409: 'the file has another hash, or its object was overwritten',
      412: 'If-Match does not hold',
      416: 'the range begins at or past the end',
      ...FAULTS,
    },
    contentTypes: ['application/octet-stream', 'multipart/byteranges'],
  },
  readv: {
    path: '/readv',
    method: 'POST',
    access: 'namespace',
    parameters: ['ns', 'version'],
    required: ['ns'],
    about: 'bytes of many extents, [{path, off, len}, …], in request order',
    answers: {
      200: 'the bytes, or frames',
      409: 'an object was overwritten',
      413: 'too many extents or bytes',
      416: 'an extent begins at or past the end',
      ...FAULTS,
    },
    contentTypes: ['application/octet-stream', FRAMES_CONTENT_TYPE],
  },
  hints: {
    path: '/hints',
    method: 'POST',
    access: 'namespace',
    parameters: ['ns', 'version'],
    required: [],
    about:
      'what will be read soon, {ns, epoch, priority, ttl_ms, windows: [{path, ranges: [[off, len], …]}]}: it is fetched behind demand reads',
    answers: { 202: 'it is queued', 413: 'too many ranges', 416: 'a range begins at or past the end', ...FAULTS },
    contentTypes: JSON_TYPE,
  },
  advisor: {
    path: '/advisor',
    method: 'GET',
    access: 'namespace',
    parameters: ['ns'],
    required: [],
    about: 'the files that would save most if they were warmed, from what was read and is missing',
    answers: { 200: 'candidates', ...FAULTS },
    contentTypes: JSON_TYPE,
  },
  manifest: {
    path: '/manifest',
    method: 'GET',
    access: 'namespace',
    parameters: ['ns', 'version', 'path', 'limit'],
    required: ['ns'],
    about: 'the manifest of a version, or of it one file, or so many; with gzip where that is accepted',
    answers: { 200: 'the manifest', ...FAULTS },
    contentTypes: JSON_TYPE,
  },
  ls: {
    path: '/ls',
    method: 'GET',
    access: 'namespace',
    parameters: ['ns', 'version', 'prefix', 'start_after', 'limit'],
    required: ['ns'],
    about: 'files of a version in UTF-8 byte order of their paths',
    answers: { 200: 'the files', ...FAULTS },
    contentTypes: JSON_TYPE,
  },
  test_head: {
    path: '/test_head',
    method: 'GET',
    access: 'namespace',
    parameters: ['ns', 'path', 'key', 'version'],
    required: [],
    about: 'size and ETag of the object behind a file (ns and path), or of an object (key), asked of the store',
    answers: { 200: 'what the store says', ...FAULTS },
    contentTypes: JSON_TYPE,
  },
  test_stream: {
    path: '/test_stream',
    method: 'GET',
    access: 'namespace',
    parameters: ['key', 'off', 'len'],
    required: ['key'],
    about: 'verified bytes of the file whose object has that key in the current version',
    answers: { 200: 'the bytes', 416: 'the range begins at or past the end', ...FAULTS },
    contentTypes: ['application/octet-stream'],
  },
  healthz: {
    path: '/healthz',
    method: 'GET',
    access: 'anyone',
    parameters: [],
    required: [],
    about: 'the process answers',
    answers: { 200: 'it does' },
    contentTypes: JSON_TYPE,
  },
  readyz: {
    path: '/readyz',
    method: 'GET',
    access: 'anyone',
    parameters: [],
    required: [],
    about: 'the store can be reached and the cache written, with reasons',
    answers: { 200: 'ready', 503: 'not ready, with reasons' },
    contentTypes: JSON_TYPE,
  },
  metrics: {
    path: '/metrics',
    method: 'GET',
    access: 'all',
    parameters: [],
    required: [],
    about: 'counters of all workers as Prometheus text',
    answers: { 200: 'metrics' },
    contentTypes: ['text/plain'],
  },
  openapi: {
    path: '/openapi.json',
    method: 'GET',
    access: 'anyone',
    parameters: [],
    required: [],
    about: 'this API as an OpenAPI 3.1 document',
    answers: { 200: 'the document' },
    contentTypes: JSON_TYPE,
  },
  status: {
    path: '/status.json',
    method: 'GET',
    access: 'all',
    parameters: [],
    required: [],
    about: 'what the status page shows',
    answers: { 200: 'the state of all workers' },
    contentTypes: JSON_TYPE,
  },
  page: {
    path: '/',
    method: 'GET',
    access: 'anyone',
    parameters: [],
    required: [],
    about: 'the status page',
    answers: { 200: 'HTML' },
    contentTypes: ['text/html'],
  },
} as const satisfies Readonly<Record<string, Endpoint>>;

export type EndpointName = keyof typeof ENDPOINTS;
