// What the `undici` engine sends its requests with: our own client where nothing but plain HTTP lies between us and the store,
// else undici's connection pools, with certificates and the way through a proxy. Loads undici only then.
import { createRequire } from 'node:module';
import type { Agent, Dispatcher } from 'undici';
import { readCertificates } from './certificates.ts';
import { PlainHttp, type GetDispatcher } from './plain-http.ts';
import { DEFAULT_TIMEOUTS, type S3Options } from './s3-options.ts';

const CONNECTIONS_MAX_DEFAULT = 128;
const KEEP_ALIVE_MS = 10_000;

const require = createRequire(import.meta.url);

export async function createGetDispatcher(s3: S3Options): Promise<GetDispatcher> {
  if (s3.proxy !== undefined || !s3.endpoint?.startsWith('http:')) return createDispatcher(s3);
  return new PlainHttp({
    connectionsMax: s3.connectionsMax ?? CONNECTIONS_MAX_DEFAULT,
    timeouts: { ...DEFAULT_TIMEOUTS, ...s3.timeouts },
  });
}

export async function createDispatcher(s3: S3Options): Promise<Dispatcher> {
  const ca = await readCertificates(s3.caFile);
  const timeouts = { ...DEFAULT_TIMEOUTS, ...s3.timeouts };
  const pool = {
    connections: s3.connectionsMax ?? CONNECTIONS_MAX_DEFAULT,
    pipelining: 1,
    headersTimeout: timeouts.firstByteMs,
    // Runs only while the store is waited for: undici stops it for a paused body.
    bodyTimeout: timeouts.stallMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
  };
  const tls = { timeout: timeouts.connectMs, ...(ca ? { ca } : {}) };
  if (s3.proxy === undefined) {
    // Without the rest of undici (fetch, caches, WebSockets), which would take three times as long to load.
    const AgentClass = require('undici/lib/dispatcher/agent.js') as typeof Agent;
    return new AgentClass({ ...pool, connect: tls });
  }
  const proxyTunnel = s3.endpoint === undefined || s3.endpoint.startsWith('https:');
  const { ProxyAgent } = await import('undici');
  return new ProxyAgent({
    ...pool,
    uri: s3.proxy,
    proxyTunnel,
    requestTls: tls,
    connectTimeout: timeouts.connectMs,
  });
}
