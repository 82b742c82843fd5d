// What `seekfs serve` puts together: the Blob API over a session, one process or several, with its signals, its log and
// what it says at the start. The command itself is flags.
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { systemClock } from '../lib/base/clock.ts';
import { SeekfsError, wrapSystemError } from '../lib/base/errors.ts';
import { isShown, type Logger, type LogLevel } from '../lib/base/log.ts';
import { systemRandom } from '../lib/base/random.ts';
import type { BlobApiDeps } from '../lib/blobapi/deps.ts';
import { splitOrigins } from '../lib/blobapi/cors.ts';
import { cannotListen } from '../lib/blobapi/http-server.ts';
import { limitsOf } from '../lib/blobapi/limits.ts';
import { refuseOpenAddress, startServer, type Credentials, type ServerOptions } from '../lib/blobapi/server.ts';
import { remainsOf, type Snapshot } from '../lib/blobapi/snapshot.ts';
import { readTokens } from '../lib/blobapi/tokens.ts';
import { isWorker, runWorkers } from '../lib/blobapi/workers.ts';
import { nodeDisk } from '../lib/disk/node-disk.ts';
import { readHead } from '../lib/manifest/head.ts';
import { checkReadiness } from '../lib/maintain/readiness.ts';
import { interruption } from './interrupt.ts';
import { pricePer1000Gets } from './price.ts';
import type { Session } from './session.ts';

export interface ServeFlags {
  readonly workers: number;
  readonly insecure: boolean;
  readonly tokens?: string | undefined;
  readonly 'tls-cert'?: string | undefined;
  readonly 'tls-key'?: string | undefined;
  readonly 'log-requests': boolean;
  readonly slow: number;
  readonly drain: number;
}

/** Beyond the drain, for what is written at the end. */
const GRACE_MS = 5000;

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw wrapSystemError(error, `read ${path}`);
  }
}

async function readCredentials(flags: ServeFlags): Promise<Credentials> {
  const { tokens, 'tls-cert': cert, 'tls-key': key } = flags;
  if ((cert === undefined) !== (key === undefined)) {
    throw new SeekfsError('usage', '--tls-cert and --tls-key go together; one of them is missing');
  }
  return {
    tokens: tokens === undefined ? undefined : await readTokens(tokens),
    tls: cert === undefined ? undefined : { certPem: await readPem(cert), keyPem: await readPem(key!) },
  };
}

/** Lines of JSON on stderr, for machines: time, level, message, fields. Every one, however often it comes. */
function jsonLogger(level: LogLevel): Logger {
  return {
    log: (messageLevel, message, fields) => {
      if (!isShown(level, messageLevel)) return;
      const line = { time: new Date().toISOString(), level: messageLevel, message, pid: process.pid, ...fields };
      process.stderr.write(`${JSON.stringify(line)}\n`);
    },
  };
}

/** A server says more than a command unless it is told not to. */
function logLevelOf({ config }: Session): LogLevel {
  return config.settings.has('log_level') ? config.logLevel : 'info';
}

function cachePathOf({ config }: Session): string | undefined {
  return config.cache.backend === 'mem' ? undefined : config.cache.path;
}

function blobApiDeps(session: Session, log: Logger, workers: number): BlobApiDeps {
  const target = session.config.store;
  const { seekfs } = session;
  const { store, memory, metrics } = seekfs;
  const readiness = { store, cachePath: cachePathOf(session), disk: nodeDisk, random: systemRandom };
  return {
    head: (ns) => readHead(store, ns),
    pin: (ns, selector, options) => seekfs.pin(ns, selector, options),
    reader: () => seekfs.reader(),
    memory,
    metrics,
    log,
    clock: systemClock,
    headObject: (key, signal) => store.head({ key, signal }),
    bounds: {
      store: store.url,
      cache: cachePathOf(session),
      // This is one worker's share.
      l1BytesMax: session.config.cache.l1BytesMax * (isWorker() ? workers : 1),
      getBudgetPerSec: target.kind === 's3' ? target.s3.getBudgetPerSec * (isWorker() ? workers : 1) : undefined,
      pricePer1000Gets: pricePer1000Gets(session.config),
      l2: async () => (await seekfs.segmentStore())?.use,
    },
    readiness: (signal) => checkReadiness(readiness, signal),
  };
}

async function sayListening(session: Session, url: string, workers: number): Promise<void> {
  const cache = cachePathOf(session) ?? 'in memory';
  const store = session.seekfs.store.url;
  const few = workers === 1 ? '1 process' : `${workers} workers`;
  session.say(`listening on ${url} (${few})\nstore ${store}\ncache ${cache}\ntry: curl ${url}/readyz`);
  await session.document({ url, workers, store, cache });
}

/** In the environment of workers. */
const WORKER_PORT = 'SEEKFS_WORKER_PORT';

/** A port that is free, for all workers there will be: when all are dead at once, the next would get another one. */
async function freePort(host: string): Promise<number> {
  const server = createServer();
  server.listen({ host, port: 0 });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw cannotListen(`${host}:0`, error);
  }
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Serves until the session is interrupted; in a worker, until the primary says so. */
async function serveHere(session: Session, flags: ServeFlags): Promise<void> {
  const { config, signal } = session;
  const { listen } = config.api;
  const log = jsonLogger(logLevelOf(session));
  const options: ServerOptions = {
    ...(await readCredentials(flags)),
    listen: isWorker() ? { ...listen, port: Number(process.env[WORKER_PORT]) } : listen,
    insecure: flags.insecure,
    limits: limitsOf(config.settings),
    corsOrigins: splitOrigins(config.settings.get('api.cors_origins')?.value as string | undefined),
    requestLog: { every: flags['log-requests'], slowMs: flags.slow },
  };
  const reload = async (): Promise<void> => {
    try {
      server.reload(await readCredentials(flags));
      log.log('info', 'reloaded tokens and certificate');
    } catch (error) {
      log.log('error', `nothing was reloaded: ${(error as Error).message}`);
    }
  };
  const server = await startServer(blobApiDeps(session, log, flags.workers), {
    ...options,
    group: {
      onDrain: () => interruption.abort(new SeekfsError('interrupted', 'the server is told to end')),
      onReload: () => void reload(),
    },
  });
  if (!isWorker()) {
    process.on('SIGHUP', () => void reload());
    await sayListening(session, server.url, 1);
  }
  if (!signal.aborted) await once(signal, 'abort');
  await server.close({ drainMsMax: flags.drain });
}

/** Forks this command; the workers share one address. Resolves with the exit status. */
async function superviseWorkers(session: Session, flags: ServeFlags): Promise<number> {
  const { config, signal } = session;
  const { host, port } = config.api.listen;
  // What is wrong with the files is said once, here.
  const { tokens, tls } = await readCredentials(flags);
  refuseOpenAddress({ listen: config.api.listen, tokens, insecure: flags.insecure });
  const workers = runWorkers({
    count: flags.workers,
    exec: process.argv[1]!,
    args: process.argv.slice(2),
    env: { [WORKER_PORT]: String(port === 0 ? await freePort(host) : port) },
    log: jsonLogger(logLevelOf(session)),
    remainsOf: (answers) => remainsOf(answers as Snapshot[]),
    signal,
    drainMsMax: flags.drain + GRACE_MS,
    onListening: (taken) => {
      const name = host.includes(':') ? `[${host}]` : host;
      void sayListening(session, `${tls ? 'https' : 'http'}://${name}:${taken}`, flags.workers);
    },
  });
  process.on('SIGHUP', () => workers.reload());
  return workers.ended;
}

export async function serve(session: Session, flags: ServeFlags): Promise<void> {
  interruption.graceMs = flags.drain + 2 * GRACE_MS;
  if (flags.workers === 1 || isWorker()) await serveHere(session, flags);
  else process.exitCode = await superviseWorkers(session, flags);
}
