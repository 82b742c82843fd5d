// Signs GET and head requests once and keeps them while they are valid: a presigned URL leaves Range and If-Match
// unsigned, so one signature serves every range of an object. Corrects for a clock that is wrong, and for credentials that
// were renewed.
import type { Clock } from '../base/clock.ts';
import { directPresigner, isDirect, type Presign } from './direct-presigner.ts';
import { createS3Client } from './s3-client.ts';
import type { S3Options } from './s3-options.ts';

const EXPIRES_S = 900;
/** Not used in the last part of its life: the request still has to get there. */
const MARGIN_MS = 60_000;
const KEPT_MAX = 8192;
/** The store refuses what is 15 minutes off; below this the difference is the network's. */
const SKEW_MS_MIN = 30_000;

export interface SignedRequest {
  readonly origin: string;
  /** Path and query, escaped as they were signed: no URL parser may touch them, which would resolve `..`. */
  readonly path: string;
  /** Monotonic. */
  readonly signedAtMs: number;
  /** What was taken for the store's clock minus ours. */
  readonly skewMs: number;
}

interface KeptRequest extends SignedRequest {
  /** Monotonic: our clock may be set back, the store's goes on. */
  readonly validUntilMs: number;
  /** By our clock, which goes on while the machine sleeps. */
  readonly validUntilTimeMs: number;
}

interface Presigner {
  readonly presign: Presign;
  /** When the credentials expire, renewed where that is due. */
  readonly expiresAt: () => Promise<Date | undefined>;
  close(): void;
}

async function load(s3: S3Options): Promise<Presigner> {
  if (isDirect(s3)) {
    return { presign: directPresigner(s3), expiresAt: async () => undefined, close: () => undefined };
  }
  const [{ sdk, client }, { getSignedUrl }] = await Promise.all([
    createS3Client(s3),
    import('@aws-sdk/s3-request-presigner'),
  ]);
  return {
    presign: async ({ method, key, expiresInS, signingDate }) => {
      const input = { Bucket: s3.bucket, Key: key };
      const command = method === 'GET' ? new sdk.GetObjectCommand(input) : new sdk.HeadObjectCommand(input);
      const url = await getSignedUrl(client, command, { expiresIn: expiresInS, signingDate });
      const pathStart = url.indexOf('/', url.indexOf('//') + 2);
      return { origin: url.slice(0, pathStart), path: url.slice(pathStart) };
    },
    expiresAt: async () => (await client.config.credentials()).expiration,
    close: () => client.destroy(),
  };
}

export class PresignedRequests {
  readonly #s3: S3Options;
  readonly #clock: Clock;
  readonly #kept = new Map<string, KeptRequest>();
  #loading: Promise<Presigner> | undefined;
  /** The store's clock minus ours. */
  #skewMs = 0;

  constructor(s3: S3Options, clock: Clock) {
    this.#s3 = s3;
    this.#clock = clock;
  }

  /** Undefined where it has to be signed first. */
  kept(method: 'GET' | 'HEAD', key: string): SignedRequest | undefined {
    const kept = this.#kept.get(`${method} ${key}`);
    const isValid =
      kept && this.#clock.monotonicMs() < kept.validUntilMs && this.#clock.nowMs() < kept.validUntilTimeMs;
    return isValid ? kept : undefined;
  }

  async sign(method: 'GET' | 'HEAD', key: string): Promise<SignedRequest> {
    const kept = this.kept(method, key);
    if (kept) return kept;
    const name = `${method} ${key}`;
    const signed = await this.#sign(method, key);
    this.#kept.delete(name);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size < KEPT_MAX) break;
      this.#kept.delete(oldest);
    }
    this.#kept.set(name, signed);
    return signed;
  }

  /**
   * The store refused a signed request. Forgets what was signed and says whether signing anew may help: the signature was
   * an old one, the clocks differ (`storeTimeMs` is the answer's Date) or were found to differ since it was made, or the
   * credentials have expired.
   */
  refused(request: SignedRequest, answer: { readonly storeTimeMs: number; readonly expired: boolean }): boolean {
    this.#kept.clear();
    if (answer.expired) this.#loading = undefined;
    const skewMs = answer.storeTimeMs - this.#clock.nowMs();
    if (Math.abs(skewMs - this.#skewMs) > SKEW_MS_MIN) this.#skewMs = skewMs;
    // Of many that were signed alike the first is refused, and what it corrects is right for all.
    const isCorrected = request.skewMs !== this.#skewMs;
    return answer.expired || isCorrected || this.#clock.monotonicMs() - request.signedAtMs > MARGIN_MS;
  }

  async close(): Promise<void> {
    const loaded = await this.#loading?.catch(() => undefined);
    loaded?.close();
    this.#kept.clear();
  }

  async #sign(method: 'GET' | 'HEAD', key: string): Promise<KeptRequest> {
    this.#loading ??= load(this.#s3);
    const loading = this.#loading;
    try {
      const { presign, expiresAt } = await loading;
      const signedAtMs = this.#clock.monotonicMs();
      const timeMs = this.#clock.nowMs();
      const skewMs = this.#skewMs;
      const lastsMs = Math.min(EXPIRES_S * 1000, ((await expiresAt())?.getTime() ?? Infinity) - timeMs) - MARGIN_MS;
      const signed = await presign({ method, key, expiresInS: EXPIRES_S, signingDate: new Date(timeMs + skewMs) });
      const validity = { validUntilMs: signedAtMs + lastsMs, validUntilTimeMs: timeMs + lastsMs };
      return { ...signed, signedAtMs, skewMs, ...validity };
    } catch (error) {
      if (this.#loading === loading) this.#loading = undefined;
      throw error;
    }
  }
}
