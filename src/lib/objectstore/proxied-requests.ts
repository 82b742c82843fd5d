// Sends the AWS SDK's requests through undici, because the SDK's own client knows no proxies. Used only where there is one.
import type { Dispatcher } from 'undici';
import { createDispatcher } from './undici-dispatcher.ts';
import type { S3Options } from './s3-options.ts';

/** The parts of the SDK's request that matter here. */
interface SdkRequest {
  readonly method: Dispatcher.HttpMethod;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Dispatcher.DispatchOptions['body'];
}

interface SdkResponse {
  readonly response: { statusCode: number; headers: Record<string, string>; body: unknown };
}

/** As it was signed: everything but unreserved characters is escaped. */
function escapeQuery(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

function queryOf(request: SdkRequest): string {
  const parts = Object.entries(request.query ?? {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? (value as string[]) : [value as string | null]).map((each) =>
      each === null ? escapeQuery(name) : `${escapeQuery(name)}=${escapeQuery(each)}`,
    ),
  );
  return parts.length > 0 ? `?${parts.join('&')}` : '';
}

export class ProxiedRequests {
  readonly #s3: S3Options;
  #dispatcher: Promise<Dispatcher> | undefined;

  constructor(s3: S3Options) {
    this.#s3 = s3;
  }

  async handle(request: SdkRequest, options: { readonly abortSignal?: AbortSignal } = {}): Promise<SdkResponse> {
    const dispatcher = await (this.#dispatcher ??= createDispatcher(this.#s3));
    const { method, protocol, hostname, port, path, headers, body } = request;
    // undici sends the body at once and knows no 100 Continue.
    const sent = Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'expect'));
    const answer = await dispatcher.request({
      origin: `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}`,
      path: path + queryOf(request),
      method,
      headers: sent,
      body: body ?? null,
      signal: options.abortSignal ?? null,
    });
    const received = Object.entries(answer.headers).map(([name, value]) => [name, String(value)] as const);
    return { response: { statusCode: answer.statusCode, headers: Object.fromEntries(received), body: answer.body } };
  }

  updateHttpClientConfig(): void {
    // Nothing of it can be changed later.
  }

  httpHandlerConfigs(): Record<string, never> {
    return {};
  }

  destroy(): void {
    void this.#dispatcher?.then((dispatcher) => dispatcher.destroy()).catch(() => undefined);
  }
}
