// The table of endpoints: path, methods, parameters, who may ask, and who answers. The OpenAPI document and the docs
// are checked against it.
import { encodePrometheus, sumSamples, PROMETHEUS_CONTENT_TYPE } from '../base/prometheus.ts';
import type { Reader } from '../read/reader.ts';
import { answerBlob, BLOB_PARAMETERS } from './blob.ts';
import type { Exchange } from './exchange.ts';
import { FRAMES_CONTENT_TYPE } from './frames.ts';
import type { Limits } from './limits.ts';
import { answerLs, answerManifest, LS_PARAMETERS, MANIFEST_PARAMETERS } from './listing.ts';
import type { Query } from './query.ts';
import { answerFrames, answerReadv, type HeldAllowance } from './readv.ts';
import type { Readiness } from './readiness.ts';
import { parseExtents, readJsonBody } from './request-body.ts';
import type { Snapshot } from './snapshot.ts';
import type { VersionLease, VersionPool } from './versions.ts';

/** What the endpoints share; built once by the server. */
export interface Service {
  readonly limits: Limits;
  readonly versions: VersionPool;
  readonly reader: () => Promise<Reader>;
  readonly held: HeldAllowance;
  readonly readiness: Readiness;
  /** Of this process and its siblings. */
  readonly siblings: () => Promise<readonly Snapshot[]>;
}

/** `anyone`; `namespace`: whoever has a token for the `ns` of the query; `all`: whoever has one for all namespaces. */
export type Access = 'anyone' | 'namespace' | 'all';

export interface Route {
  /** Also the metrics' label. */
  readonly name: string;
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly access: Access;
  readonly parameters: readonly string[];
  readonly answer: (exchange: Exchange, query: Query, service: Service) => Promise<void>;
}

async function withVersion(
  exchange: Exchange,
  query: Query,
  service: Service,
  use: (lease: VersionLease) => Promise<void>,
): Promise<void> {
  const ns = query.required('ns');
  exchange.subject = ns;
  const acquired = service.versions.acquire(ns, query.version());
  const lease = acquired instanceof Promise ? await acquired : acquired;
  try {
    await use(lease);
  } finally {
    lease.release();
  }
}

function json(exchange: Exchange, status: number, value: unknown): void {
  exchange.finish(status, ['Content-Type', 'application/json'], `${JSON.stringify(value)}\n`);
}

async function blob(exchange: Exchange, query: Query, service: Service): Promise<void> {
  await withVersion(exchange, query, service, async ({ pinned: version }) => {
    const reader = await service.reader();
    await answerBlob(exchange, query, { reader, version, rangesMax: service.limits.rangesMax });
  });
}

async function readv(exchange: Exchange, query: Query, service: Service): Promise<void> {
  const { limits, held } = service;
  const extents = parseExtents(await readJsonBody(exchange.request, limits.bodyBytesMax), limits.extentsMax);
  const isFramed = (exchange.request.headers.accept ?? '').includes(FRAMES_CONTENT_TYPE);
  await withVersion(exchange, query, service, async ({ pinned: version }) => {
    const context = { reader: await service.reader(), version, responseBytesMax: limits.responseBytesMax, held };
    await (isFramed ? answerFrames : answerReadv)(exchange, extents, context);
  });
}

async function healthz(exchange: Exchange): Promise<void> {
  json(exchange, 200, { status: 'ok' });
}

async function readyz(exchange: Exchange, _query: Query, { readiness }: Service): Promise<void> {
  const findings = await readiness.findings();
  const isReady = findings.every((finding) => finding.ok);
  json(exchange, isReady ? 200 : 503, { status: isReady ? 'ready' : 'not ready', checks: findings });
}

async function metrics(exchange: Exchange, _query: Query, { siblings }: Service): Promise<void> {
  const samples = sumSamples((await siblings()).map((snapshot) => snapshot.samples));
  exchange.finish(200, ['Content-Type', PROMETHEUS_CONTENT_TYPE], encodePrometheus(samples));
}

export const ROUTES: readonly Route[] = [
  { name: 'blob', path: '/blob', method: 'GET', access: 'namespace', parameters: BLOB_PARAMETERS, answer: blob },
  { name: 'readv', path: '/readv', method: 'POST', access: 'namespace', parameters: ['ns', 'version'], answer: readv },
  {
    name: 'manifest',
    path: '/manifest',
    method: 'GET',
    access: 'namespace',
    parameters: MANIFEST_PARAMETERS,
    answer: (exchange, query, service) =>
      withVersion(exchange, query, service, ({ pinned }) => answerManifest(exchange, pinned)),
  },
  {
    name: 'ls',
    path: '/ls',
    method: 'GET',
    access: 'namespace',
    parameters: LS_PARAMETERS,
    answer: (exchange, query, service) =>
      withVersion(exchange, query, service, ({ pinned }) => answerLs(exchange, query, pinned)),
  },
  { name: 'healthz', path: '/healthz', method: 'GET', access: 'anyone', parameters: [], answer: healthz },
  { name: 'readyz', path: '/readyz', method: 'GET', access: 'anyone', parameters: [], answer: readyz },
  { name: 'metrics', path: '/metrics', method: 'GET', access: 'all', parameters: [], answer: metrics },
];
