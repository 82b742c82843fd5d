// What each endpoint of the table in endpoints.ts does: parameters in, the right function of the library, an answer.
import { findFile } from '../manifest/find-file.ts';
import { fileOfKey } from '../manifest/key-layout.ts';
import { encodePrometheus, sumSamples, PROMETHEUS_CONTENT_TYPE } from '../base/prometheus.ts';
import type { MemoryGovernor } from '../base/memory.ts';
import type { Reader } from '../read/reader.ts';
import { SeekfsError } from '../base/errors.ts';
import { andThen, lastly, type MaybePromise } from '../base/maybe-promise.ts';
import type { PinnedVersion } from '../manifest/types.ts';
import { sumActivity, type Activity } from './activity.ts';
import { advise } from './advise.ts';
import { answerBlob, answerEntry } from './blob.ts';
import type { BlobApiDeps } from './deps.ts';
import { ENDPOINTS, type Access, type EndpointName } from './endpoints.ts';
import type { Exchange } from './exchange.ts';
import { FRAMES_CONTENT_TYPE } from './frames.ts';
import type { HintQueue } from './hints.ts';
import type { Limits } from './limits.ts';
import { answerLs, answerManifest } from './listing.ts';
import { openApiDocument } from './openapi.ts';
import { badParameter, type Query } from './query.ts';
import { answerFrames, answerReadv, type HeldAllowance } from './readv.ts';
import type { Readiness } from './readiness.ts';
import { Refusal } from './refusal.ts';
import { parseExtents, parseHint, readJsonBody } from './request-body.ts';
import type { Snapshot } from './snapshot.ts';
import { STATUS_PAGE, STATUS_PAGE_POLICY } from './status-page.ts';
import { CurrentVersions, type VersionLease, type VersionPool } from './versions.ts';

/** What the endpoints share; built once by the server. */
export interface Service {
  readonly limits: Limits;
  readonly versions: VersionPool;
  /** Without a promise once it is open. */
  readonly reader: () => MaybePromise<Reader>;
  readonly held: HeldAllowance;
  readonly memory: MemoryGovernor;
  readonly readiness: Readiness;
  /** Of this process and its siblings. */
  readonly hints: HintQueue;
  readonly activity: Activity;
  /** Asked of the store: one head request. */
  readonly headObject: BlobApiDeps['headObject'];
  readonly status: () => Promise<unknown>;
  readonly siblings: () => Promise<readonly Snapshot[]>;
}

type Answer = (exchange: Exchange, query: Query, service: Service) => MaybePromise<void>;

function withVersion(
  exchange: Exchange,
  query: Query,
  service: Service,
  use: (lease: VersionLease) => MaybePromise<void>,
): MaybePromise<void> {
  const ns = query.required('ns');
  exchange.subject = ns;
  return andThen(service.versions.acquire(ns, query.version()), (lease) =>
    lastly(
      () => use(lease),
      () => lease.release(),
    ),
  );
}

function json(exchange: Exchange, status: number, value: unknown): void {
  exchange.finish(status, ['Content-Type', 'application/json'], `${JSON.stringify(value)}\n`);
}

function blob(exchange: Exchange, query: Query, service: Service): MaybePromise<void> {
  const { limits, activity } = service;
  return withVersion(exchange, query, service, ({ pinned: version }) =>
    andThen(service.reader(), (reader) =>
      answerBlob(exchange, query, { reader, version, rangesMax: limits.rangesMax, activity }),
    ),
  );
}

async function readv(exchange: Exchange, query: Query, service: Service): Promise<void> {
  const { limits, held, memory } = service;
  const extents = parseExtents(await readJsonBody(exchange.request, limits.bodyBytesMax), limits.extentsMax);
  const isFramed = (exchange.request.headers.accept ?? '').includes(FRAMES_CONTENT_TYPE);
  await withVersion(exchange, query, service, async ({ pinned: version }) => {
    const context = {
      reader: await service.reader(),
      version,
      responseBytesMax: limits.responseBytesMax,
      held,
      memory,
      activity: service.activity,
    };
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

async function hints(exchange: Exchange, query: Query, service: Service): Promise<void> {
  const { limits, versions } = service;
  const hint = parseHint(await readJsonBody(exchange.request, limits.bodyBytesMax), limits.extentsMax);
  const asked = query.optional('ns');
  const ns = asked ?? hint.ns;
  if (ns === undefined) throw badParameter('ns', 'is missing; give it in the query or in the body');
  if (asked !== undefined && hint.ns !== undefined && hint.ns !== asked) {
    throw badParameter('ns', 'is another one in the query than in the body');
  }
  exchange.subject = ns;
  const lease = await versions.acquire(ns, query.version());
  try {
    json(exchange, 202, { accepted: await service.hints.add(lease, hint) });
  } catch (error) {
    lease.release();
    throw error;
  }
}

async function advisor(exchange: Exchange, query: Query, service: Service): Promise<void> {
  const ns = query.optional('ns');
  const activities = (await service.siblings()).map((snapshot) => snapshot.activity);
  const files = sumActivity(activities).filter((file) => ns === undefined || file.ns === ns);
  const versions = new CurrentVersions(service.versions);
  try {
    // A namespace that does not exist is 404, also where nobody has read anything.
    if (ns !== undefined) await versions.get(ns);
    const current = (name: string): Promise<PinnedVersion | undefined> => versions.find(name);
    json(exchange, 200, await advise({ reader: await service.reader(), current }, files));
  } finally {
    versions.release();
  }
}

async function answerHead(exchange: Exchange, key: string, service: Service): Promise<void> {
  const { sizeBytes, etag, modifiedAtMs } = await service.headObject(key, exchange.signal);
  json(exchange, 200, { key, size: sizeBytes, etag, modified_at_ms: modifiedAtMs });
}

async function testHead(exchange: Exchange, query: Query, service: Service): Promise<void> {
  const key = query.optional('key');
  if (key === undefined) {
    const path = query.required('path');
    await withVersion(exchange, query, service, async ({ pinned }) => {
      const { storage } = await pinned.lookup(path);
      await answerHead(exchange, storage.key, service);
    });
    return;
  }
  for (const other of ['ns', 'path', 'version']) {
    if (query.optional(other) !== undefined) throw badParameter('key', `does not go with "${other}"`);
  }
  await answerHead(exchange, key, service);
}

/** Not the object's bytes as they are, but the file's that the manifest keeps in it: nothing leaves unverified. */
async function testStream(exchange: Exchange, query: Query, service: Service): Promise<void> {
  const { limits, versions } = service;
  const key = query.required('key');
  const name = fileOfKey(key);
  const nowhere = new SeekfsError('object_not_found', `no current version has a file in the object ${key}`);
  if (!name) throw nowhere;
  const lease = await versions.acquire(name.ns, { kind: 'head' });
  try {
    const entry = await findFile(lease.pinned, name.path);
    if (entry?.storage.key !== key || entry.storage.off !== 0) throw nowhere;
    const context = { reader: await service.reader(), version: lease.pinned, rangesMax: limits.rangesMax };
    await answerEntry(exchange, query, { context, entry });
  } finally {
    lease.release();
  }
}

async function openapi(exchange: Exchange): Promise<void> {
  json(exchange, 200, openApiDocument());
}

async function status(exchange: Exchange, _query: Query, service: Service): Promise<void> {
  json(exchange, 200, await service.status());
}

async function page(exchange: Exchange): Promise<void> {
  const headers = ['Content-Type', 'text/html; charset=utf-8', 'Cache-Control', 'no-store'];
  headers.push('Content-Security-Policy', STATUS_PAGE_POLICY, 'X-Content-Type-Options', 'nosniff');
  exchange.finish(200, headers, STATUS_PAGE);
}

const ANSWERS: Readonly<Record<EndpointName, Answer>> = {
  blob,
  readv,
  hints,
  advisor,
  manifest: (exchange, query, service) =>
    withVersion(exchange, query, service, ({ pinned }) => answerManifest(exchange, query, pinned)),
  ls: (exchange, query, service) =>
    withVersion(exchange, query, service, ({ pinned }) => answerLs(exchange, query, pinned)),
  test_head: testHead,
  test_stream: testStream,
  healthz,
  readyz,
  metrics,
  openapi,
  status,
  page,
};

export interface Route {
  /** Also the metrics' label. */
  readonly name: EndpointName;
  readonly method: 'GET' | 'POST';
  readonly access: Access;
  readonly parameters: readonly string[];
  readonly answer: Answer;
}

/** Each path has one method. */
export const ROUTES: ReadonlyMap<string, Route> = new Map(
  (Object.keys(ENDPOINTS) as EndpointName[]).map((name) => {
    const { path, method, access, parameters } = ENDPOINTS[name];
    return [path, { name, method, access, parameters, answer: ANSWERS[name] }];
  }),
);

/** @throws usage where there is none of that path (404), or not for that method (405) */
export function findRoute(path: string, method = 'GET'): Route {
  const route = ROUTES.get(path);
  if (!route) {
    throw new Refusal('usage', `there is no endpoint ${path.slice(0, 80)}; see /openapi.json`, { status: 404 });
  }
  if (route.method === (method === 'HEAD' ? 'GET' : method)) return route;
  const allowed = route.method === 'GET' ? 'GET, HEAD' : route.method;
  const headers = { Allow: allowed, Connection: 'close' };
  throw new Refusal('usage', `${path} takes ${allowed}, not ${method}`, { status: 405, headers });
}

/** The namespace that a token must be for; undefined: the request is not about one. */
export function namespaceOf(query: Query): string | undefined {
  const key = query.optional('key');
  return key === undefined ? query.optional('ns') : fileOfKey(key)?.ns;
}
