// Whose pages may read answers in a browser: nobody's unless origins are listed. Fields for answers to those, preflights.
// Tokens are asked for as ever: a listed origin may ask, and is allowed what its token allows.
import { SeekfsError } from '../base/errors.ts';
import type { RawHeaders, RequestHead } from './exchange.ts';

const EXPOSED =
  'Accept-Ranges, Content-Range, ETag, Retry-After, X-Request-Id, ' +
  'X-Seekfs-Bytes, X-Seekfs-Digest, X-Seekfs-Files, X-Seekfs-Version';
const ALLOWED = 'Accept, Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range, X-Request-Id';
const PREFLIGHT_AGE_S = 600;

export class Cors {
  readonly #origins: ReadonlySet<string>;

  /** @throws config_invalid where one of them is no origin */
  constructor(origins: readonly string[]) {
    for (const origin of origins) {
      if (origin === '*' || (URL.canParse(origin) && new URL(origin).origin === origin)) continue;
      throw new SeekfsError(
        'config_invalid',
        `api.cors_origins: "${origin}" is not an origin; write https://host or https://host:port`,
      );
    }
    this.#origins = new Set(origins);
  }

  get allowsAll(): boolean {
    return this.#origins.has('*');
  }

  allows({ headers }: RequestHead): boolean {
    const { origin } = headers;
    return origin !== undefined && (this.allowsAll || this.#origins.has(origin));
  }

  /** For every answer to the request, errors too; undefined where nothing is listed. */
  fields(request: RequestHead): RawHeaders | undefined {
    if (this.#origins.size === 0) return undefined;
    // What a cache keeps for one origin is not for another.
    if (!this.allows(request)) return ['Vary', 'Origin'];
    const origin = this.allowsAll ? '*' : request.headers.origin!;
    return ['Access-Control-Allow-Origin', origin, 'Access-Control-Expose-Headers', EXPOSED, 'Vary', 'Origin'];
  }

  /** The answer to a browser that asks whether its page may ask; undefined where the request is no such thing. */
  preflight(request: RequestHead): RawHeaders | undefined {
    const isPreflight = request.method === 'OPTIONS' && 'access-control-request-method' in request.headers;
    if (!isPreflight || !this.allows(request)) return undefined;
    const methods = ['Access-Control-Allow-Methods', 'GET, HEAD, POST', 'Access-Control-Allow-Headers', ALLOWED];
    return [...methods, 'Access-Control-Max-Age', String(PREFLIGHT_AGE_S)];
  }
}

/** The text of `api.cors_origins`. */
export function splitOrigins(text: string | undefined): string[] {
  const origins = (text ?? '').split(',').map((origin) => origin.trim());
  return origins.filter((origin) => origin !== '');
}
