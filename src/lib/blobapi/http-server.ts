// node:http's server, or node:https's, with the bounds of ours. It listens to nothing yet.
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { reasonOf, SeekfsError } from '../base/errors.ts';
import type { Limits } from './limits.ts';

export interface TlsFiles {
  readonly certPem: string;
  readonly keyPem: string;
}

export function cannotListen(address: string, error: unknown): SeekfsError {
  return new SeekfsError('usage', `cannot listen on ${address}: ${reasonOf(error)}`, { cause: error });
}

/**
 * The requests of a pipeline in turn, each once the answer before it is sent: what was read for it earlier would hold memory
 * for as long as the client likes. Those that are waiting when the connection ends are never begun.
 */
function inTurn(listener: RequestListener): RequestListener {
  return (request, response) => {
    if (response.socket) listener(request, response);
    // Not at once: node:http is still at work on the response.
    else response.once('socket', () => process.nextTick(listener, request, response));
  };
}

/** @throws config_invalid when the certificate and key do not fit */
export function createHttpServer(
  limits: Limits,
  tls: TlsFiles | undefined,
  listener: RequestListener,
): Server | TlsServer {
  const listenerInTurn = inTurn(listener);
  const options = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headMsMax,
    requestTimeout: limits.bodyMsMax,
    keepAliveTimeout: limits.idleMsMax,
    connectionsCheckingInterval: Math.min(5000, limits.headMsMax),
    noDelay: true,
    // Said in JSON by `checkHead`.
    requireHostHeader: false,
  };
  let server: Server | TlsServer;
  try {
    server = tls
      ? createTlsServer(
          { ...options, cert: tls.certPem, key: tls.keyPem, minVersion: 'TLSv1.2', handshakeTimeout: limits.headMsMax },
          listenerInTurn,
        )
      : createServer(options, listenerInTurn);
  } catch (error) {
    throw new SeekfsError('config_invalid', `the TLS certificate and key do not work: ${(error as Error).message}`);
  }
  server.on('checkExpectation', listenerInTurn);
  server.maxConnections = limits.connectionsMax;
  return server;
}
