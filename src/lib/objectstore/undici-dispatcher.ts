// undici's connection pools to one store: sockets, time-outs, certificates, and the way through a proxy. Loads undici.
import { createRequire } from 'node:module';
import type { Agent, buildConnector, Dispatcher } from 'undici';
import { readCertificates } from './certificates.ts';
import { reusingConnector } from './reused-receive.ts';
import { DEFAULT_TIMEOUTS, type S3Options } from './s3-options.ts';

const CONNECTIONS_MAX_DEFAULT = 128;
const KEEP_ALIVE_MS = 10_000;

const require = createRequire(import.meta.url);

/** Undici's pools without the rest of it (fetch, caches, WebSockets), which would take three times as long to load. */
function loadPools(): { readonly AgentClass: typeof Agent; readonly build: typeof buildConnector } {
  return {
    AgentClass: require('undici/lib/dispatcher/agent.js') as typeof Agent,
    build: require('undici/lib/core/connect.js') as typeof buildConnector,
  };
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
    const { AgentClass, build } = loadPools();
    return new AgentClass({ ...pool, connect: reusingConnector(build, tls) });
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
