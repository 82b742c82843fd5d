// Who may be answered at all: requests at once, by client and in all; tokens; browsers that a foreign page sends.
import type { SeekfsError } from '../base/errors.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Cors } from './cors.ts';
import type { Exchange, RequestHead } from './exchange.ts';
import type { Limits } from './limits.ts';
import { Refusal } from './refusal.ts';
import type { Tokens } from './tokens.ts';

/** The host of a Host header or a URL: without the port, brackets kept. */
function hostName(host: string): string {
  return host.replace(/:\d+$/, '').toLowerCase();
}

/** An address, or a name that only this machine answers to. */
const ADDRESS = /^(localhost|\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.%]+\])$/i;

/** Clients that ask for nothing now and are not forgotten yet. */
const IDLE_CLIENTS_MAX = 1000;

/** What node:http would refuse without a word. @throws usage (400, 417) */
export function checkHead({ headers, httpVersion }: RequestHead): void {
  // RFC 9112 §3.2.
  if (headers.host === undefined && httpVersion === '1.1') throw new Refusal('usage', 'the Host header is missing');
  const { expect } = headers;
  if (expect === undefined || expect.toLowerCase() === '100-continue') return;
  throw new Refusal('usage', 'the only expectation that is met is 100-continue', { status: 417 });
}

export class Admission {
  readonly #limits: Limits;
  readonly #metrics: Metrics;
  /** By client. One without any stays, so that a client of one request after the other costs no table (active-exchanges.ts). */
  readonly #active = new Map<string, number>();
  #total = 0;
  tokens: Tokens | undefined;

  constructor(limits: Limits, metrics: Metrics, tokens: Tokens | undefined) {
    this.#limits = limits;
    this.#metrics = metrics;
    this.tokens = tokens;
  }

  /** Requests that are being answered. */
  get total(): number {
    return this.#total;
  }

  /** Clients that are remembered, those without a request among them. */
  get clients(): number {
    return this.#active.size;
  }

  /**
   * Counts the request in; `leave` with the same client counts it out, also after a refusal.
   * @throws overloaded
   */
  enter(client: string): void {
    const count = (this.#active.get(client) ?? 0) + 1;
    this.#active.set(client, count);
    this.#total += 1;
    if (this.#total > this.#limits.requestsMax) {
      throw this.#refuse(
        'requests',
        new Refusal('overloaded', `the server answers ${this.#limits.requestsMax} requests already; ask again`),
      );
    }
    const { requestsPerClientMax } = this.#limits;
    if (count > requestsPerClientMax) {
      const message = `this client has ${requestsPerClientMax} requests open already; ask again`;
      throw this.#refuse('client_requests', new Refusal('overloaded', message, { status: 429 }));
    }
  }

  leave(client: string): void {
    const count = this.#active.get(client)! - 1;
    if (count === 0 && this.#active.size > IDLE_CLIENTS_MAX) this.#active.delete(client);
    else this.#active.set(client, count);
    this.#total -= 1;
  }

  /**
   * A page of another site can make its visitor's browser ask us. Without tokens the browser's word is all there is:
   * cross-site requests are refused, and so is a name that was pointed at our address (DNS rebinding). Pages of origins
   * that are listed may ask.
   * @throws usage (403, 421)
   */
  checkBrowser(exchange: Exchange, cors: Cors): void {
    if (cors.allows(exchange.request)) return;
    const { headers } = exchange.request;
    if (headers['sec-fetch-site'] === 'cross-site') {
      throw this.#refuse('cross_site', new Refusal('usage', 'a page of another site may not ask', { status: 403 }));
    }
    if (headers['sec-fetch-site'] === undefined && headers['origin'] === undefined) return;
    if (this.tokens || headers.host === undefined || ADDRESS.test(hostName(headers.host))) return;
    const message = 'without tokens a browser reaches this server by address or as localhost only';
    throw this.#refuse('rebinding', new Refusal('usage', message, { status: 421 }));
  }

  /**
   * @param ns undefined: what is asked for is not of one namespace
   * @throws unauthorized
   */
  authorize(exchange: Exchange, ns: string | undefined): void {
    if (!this.tokens || this.tokens.allow(exchange.request.headers.authorization, ns)) return;
    const what = ns === undefined ? 'all namespaces' : 'this namespace';
    const headers = { 'WWW-Authenticate': 'Bearer realm="seekfs"' };
    throw this.#refuse(
      'token',
      new Refusal('unauthorized', `the request has no token for ${what}; send it in "Authorization: Bearer …"`, {
        headers,
      }),
    );
  }

  #refuse(reason: string, error: SeekfsError): SeekfsError {
    this.#metrics.add('seekfs_http_refused_total', 1, { reason });
    return error;
  }
}
