// node:http's server, or node:https's, with the bounds of ours. It listens to nothing yet.
import { setMaxListeners } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { SeekfsError } from '../base/errors.ts';
import type { Limits } from './limits.ts';

export interface TlsFiles {
  readonly certPem: string;
  readonly keyPem: string;
}

/**
 * A response that waits behind others of its connection is not told by node:http when the connection ends: without this
 * nobody would ever give back what is held for it.
 */
function tellOfEnd({ socket }: IncomingMessage, response: ServerResponse): void {
  if (response.socket) return;
  const onEnd = (): void => {
    if (!response.socket && !response.writableFinished) response.emit('close');
  };
  // As many as there are requests in the pipeline.
  setMaxListeners(0, socket);
  socket.once('close', onEnd);
  response.once('close', () => socket.off('close', onEnd));
}

/** @throws config_invalid when the certificate and key do not fit */
export function createHttpServer(
  limits: Limits,
  tls: TlsFiles | undefined,
  listener: RequestListener,
): Server | TlsServer {
  const tellingListener: RequestListener = (request, response) => {
    tellOfEnd(request, response);
    listener(request, response);
  };
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
          tellingListener,
        )
      : createServer(options, tellingListener);
  } catch (error) {
    throw new SeekfsError('config_invalid', `the TLS certificate and key do not work: ${(error as Error).message}`);
  }
  server.maxConnections = limits.connectionsMax;
  return server;
}
