// Settings in, the typed configuration out: defaults that depend on the machine, clamping, and rules over several keys.
// The environment is given, and the machine may be; used by src/cli and by programs that embed the library.
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SeekfsError } from '../base/errors.ts';
import { formatBytes, GIB, MIB } from '../base/units.ts';
import type { Config, S3Config, StoreTarget } from './config.ts';
import { parseListen } from './listen.ts';
import { proxyFor } from './proxy.ts';
import { thisMachine, type Machine } from './machine.ts';
import { resolveSettings, type ConfigSources, type Environment, type FlagValue, type Resolution } from './resolve.ts';
import { SETTINGS, SETTING_KEYS, type SettingKey, type SettingRow, type SettingValue } from './schema.ts';

interface Lifetime {
  /** A command that ends soon, as against `serve`: it takes little memory. */
  readonly oneShot?: boolean | undefined;
  /** It reads every byte once, so that copies in memory, ours (L1) or the operating system's, would be for nobody. */
  readonly readsOnce?: boolean | undefined;
  /** One file at a time: it takes no more memory than its GETs under way. */
  readonly readsOneFile?: boolean | undefined;
}

/** What is not given of the machine is what it is; without `flags` there are none. */
export interface LoadOptions extends Partial<Machine>, Lifetime {
  /** SEEKFS_… and AWS_… variables: those of the process, or with others on top. */
  readonly env: Environment;
  readonly configFile?: string | undefined;
  readonly flags?: ReadonlyMap<SettingKey, FlagValue>;
}

type Given = ConfigSources & Machine & Lifetime;

const MEMORY_BYTES_MIN = 256 * MIB;
const ONE_SHOT_L1_BYTES = 64 * MIB;
/** With the run-time's own 60 MiB, a one-shot command stays under 256 MiB of resident memory. */
const ONE_SHOT_MEMORY_BYTES = 192 * MIB;
/**
 * For the GETs under way, or a page of 64 MiB that has to be there whole, and what is left free of them. A command that has more
 * fills it while it waits for the disk, and memory that is new to the process costs more than the bytes that arrive in it.
 */
const ONE_FILE_MEMORY_BYTES_MIN = 96 * MIB;
const ONE_FILE_GETS = 12;

/** @throws config_invalid, file_not_found, usage (a bad flag) */
export async function loadConfig(given: LoadOptions): Promise<Config> {
  const options: Given = { ...thisMachine(), flags: new Map(), ...given };
  const resolution = resolveSettings(options);
  const settings = new Settings(resolution);
  const store = storeTarget(settings, options);
  const memory = memoryBounds(settings, options);
  const path =
    settings.path('cache.l2.segment_path', options) ?? userDirectory(options, 'XDG_CACHE_HOME', '.cache', 'l2');
  const pageSizeBytes = settings.get('cache.page_size_mib')!;
  if (!Number.isInteger(Math.log2(pageSizeBytes))) {
    throw settings.invalid('cache.page_size_mib', `must be a power of two, is ${pageSizeBytes / MIB}`);
  }
  return {
    logLevel: settings.get('log_level')!,
    store,
    pageSizeBytes,
    rangeCoalesceMaxBytes: settings.get('s3.range_coalesce_max_mib')!,
    rangeCoalesceGapBytes: settings.get('s3.range_coalesce_gap_kib')!,
    fetchQuantumBytes: settings.get('read.fetch_quantum_kib')!,
    readPartSizeBytes: settings.get('read.part_size_mib')!,
    cache: {
      backend: settings.get('cache.l2.backend')!,
      path,
      l2BytesMax: clampL2(settings, options, path),
      freeReserveBytes: settings.get('cache.free_reserve_gib'),
      l1BytesMax: memory.l1,
      namespaceQuotaBytes: settings.get('cache.namespace_quota_gib'),
      policy: settings.get('cache.policy')!,
      readsOnce: options.readsOnce ?? false,
    },
    memoryBytesMax: memory.limit,
    requireChecksums: settings.get('read.require_checksums')!,
    unsafePublish: settings.get('store.unsafe_publish')!,
    api: { listen: listenAddress(settings) },
    settings: resolution.settings,
    warnings: resolution.warnings,
  };
}

/** Typed access to what was resolved, with the plain defaults of the table. */
class Settings {
  readonly #resolution: Resolution;

  constructor(resolution: Resolution) {
    this.#resolution = resolution;
  }

  /** The value given, else the default of the table, else undefined. */
  get<K extends SettingKey>(key: K): SettingValue<K> | undefined {
    const row: SettingRow = SETTINGS[key];
    return (this.given(key) ?? row.default) as SettingValue<K> | undefined;
  }

  given<K extends SettingKey>(key: K): SettingValue<K> | undefined {
    return this.#resolution.settings.get(key)?.value as SettingValue<K> | undefined;
  }

  isTableGiven(table: string): boolean {
    return SETTING_KEYS.some((key) => key.startsWith(`${table}.`) && this.#resolution.settings.has(key));
  }

  /** The value as an absolute path; relative ones begin at the file's directory, or the working directory. */
  path(key: 'cache.l2.segment_path' | 's3.ca_file', options: { homeDirectory: string }): string | undefined {
    const setting = this.#resolution.settings.get(key);
    if (!setting) return undefined;
    const text = String(setting.value);
    if (text.startsWith('~/')) return join(options.homeDirectory, text.slice(2));
    return isAbsolute(text) ? text : join(setting.baseDirectory, text);
  }

  warn(key: SettingKey, message: string): void {
    this.#resolution.warnings.push(`${this.#origin(key)}: ${key} ${message}`);
  }

  invalid(key: SettingKey, problem: string): SeekfsError {
    return new SeekfsError('config_invalid', `${this.#origin(key)}: ${key} ${problem}`, { details: { key } });
  }

  #origin(key: SettingKey): string {
    return this.#resolution.settings.get(key)?.origin ?? 'default';
  }
}

function userDirectory(options: Given, variable: string, fallback: string, name: string): string {
  return join(options.env[variable] || join(options.homeDirectory, fallback), 'seekfs', name);
}

/** Stores other than AWS's allow more than AWS; none of them allows what a URL is made of. */
const BUCKET = /^[^/?#@\s]+$/;

function storeTarget(settings: Settings, options: Given): StoreTarget {
  const url = settings.given('store.url');
  if (url === undefined) {
    if (settings.isTableGiven('s3')) {
      const bucket = settings.get('s3.bucket')!;
      if (!BUCKET.test(bucket)) throw settings.invalid('s3.bucket', `must be a name alone, not "${bucket}"`);
      return { kind: 's3', bucket, s3: s3Config(settings, options) };
    }
    return { kind: 'directory', rootPath: userDirectory(options, 'XDG_DATA_HOME', '.local/share', 'store') };
  }
  if (url.startsWith('file:///')) {
    try {
      return { kind: 'directory', rootPath: fileURLToPath(url) };
    } catch (error) {
      throw settings.invalid('store.url', `"${url}" is not a file URL: ${(error as Error).message}`);
    }
  }
  const bucket = /^s3:\/\/([^/?#@]+)\/?$/.exec(url)?.[1];
  if (bucket !== undefined) return { kind: 's3', bucket, s3: s3Config(settings, options) };
  // The URL is not repeated where it could carry a password.
  const shown = url.includes('@') ? 'the store' : `"${url}"`;
  throw settings.invalid('store.url', `must be file:///directory or s3://bucket, ${shown} is neither`);
}

function s3Config(settings: Settings, options: Given): S3Config {
  const { env } = options;
  const endpoint =
    settings.given('s3.endpoint') ?? (env['AWS_ENDPOINT_URL_S3'] || env['AWS_ENDPOINT_URL'] || undefined);
  if (endpoint !== undefined && !/^https?:\/\/[^/@]+\/?$/.test(endpoint)) {
    throw settings.invalid('s3.endpoint', 'must be http://host:port or https://host:port, without user, path or query');
  }
  return {
    engine: settings.get('s3.engine')!,
    endpoint,
    region: settings.given('s3.region') ?? (env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || 'us-east-1'),
    credentials: credentials(settings),
    forcePathStyle: settings.given('s3.force_path_style') ?? endpoint !== undefined,
    caFile: settings.path('s3.ca_file', options) ?? (env['AWS_CA_BUNDLE'] || undefined),
    proxy: proxyFor(endpoint ?? 'https://s3.amazonaws.com', env),
    getBudgetPerSec: settings.get('s3.get_budget_per_sec')!,
    getBudgetPerDay: settings.given('s3.get_budget_per_day'),
    getBudgetBytesPerSec: settings.given('s3.get_budget_mib_per_sec'),
    pricePer1000Gets: settings.given('s3.price_per_1000_gets'),
    maxInflightGets: settings.get('s3.max_inflight_gets')!,
    hedgeSlowGets: settings.get('s3.hedge_slow_gets')!,
    retryMaxAttempts: settings.get('s3.retry_max_attempts')!,
    retryInitialBackoffMs: settings.get('s3.retry_initial_backoff_ms')!,
  };
}

function credentials(settings: Settings): S3Config['credentials'] {
  const accessKeyId = settings.given('s3.access_key_id');
  const secretAccessKey = settings.given('s3.secret_access_key');
  if (accessKeyId === undefined && secretAccessKey === undefined) return undefined;
  if (accessKeyId === undefined) throw settings.invalid('s3.secret_access_key', 'needs s3.access_key_id beside it');
  if (secretAccessKey === undefined) throw settings.invalid('s3.access_key_id', 'needs s3.secret_access_key beside it');
  return { accessKeyId, secretAccessKey, sessionToken: settings.given('s3.session_token') };
}

/** L1 is never more than half of the limit, and the limit never more than three quarters of what there is. */
function memoryBounds(settings: Settings, options: Given): { limit: number; l1: number } {
  const usable = options.usableMemoryBytes;
  const holdable = Math.max(MEMORY_BYTES_MIN, Math.floor(usable * 0.75));
  const wantedL1 = options.oneShot ? undefined : settings.given('cache.l1_memory_gib');
  let limit = settings.given('read.memory_mib');
  if (limit === undefined) {
    limit = options.oneShot ? ONE_SHOT_MEMORY_BYTES : Math.max(MEMORY_BYTES_MIN, Math.floor(usable / 8));
    const getsBytes = ONE_FILE_GETS * settings.get('read.part_size_mib')!;
    if (options.readsOneFile) limit = Math.min(limit, Math.max(ONE_FILE_MEMORY_BYTES_MIN, getsBytes));
    // Who sets L1 alone wants that L1, as far as the machine holds it.
    if (wantedL1 !== undefined) limit = Math.max(limit, Math.min(2 * wantedL1, holdable));
  } else if (limit > holdable) {
    settings.warn('read.memory_mib', `is more than this machine holds and was clamped to ${formatBytes(holdable)}`);
    limit = holdable;
  }
  const l1Max = Math.floor(limit / 2);
  if (options.readsOnce) return { limit, l1: 0 };
  if (options.oneShot)
    return { limit, l1: Math.min(ONE_SHOT_L1_BYTES, l1Max, settings.given('cache.l1_memory_gib') ?? l1Max) };
  if (wantedL1 !== undefined && wantedL1 > l1Max) {
    settings.warn(
      'cache.l1_memory_gib',
      `(${formatBytes(wantedL1)}) is more than half of the memory limit and was clamped to ${formatBytes(l1Max)}`,
    );
  }
  return { limit, l1: Math.min(wantedL1 ?? l1Max, l1Max) };
}

function clampL2(settings: Settings, options: Given, path: string): number | undefined {
  const wanted = settings.given('cache.l2_ssd_gib');
  const total = wanted === undefined ? undefined : options.diskTotalBytes(path);
  if (wanted === undefined || total === undefined || wanted <= total) return wanted;
  settings.warn(
    'cache.l2_ssd_gib',
    `(${Math.round(wanted / GIB)} GiB) is more than the file system of ${path} and was clamped to ${formatBytes(total)}`,
  );
  return total;
}

function listenAddress(settings: Settings): { host: string; port: number } {
  const text = settings.get('api.listen')!;
  const listen = parseListen(text);
  if (!listen) throw settings.invalid('api.listen', `must be host:port or [ipv6]:port, "${text}" is neither`);
  return listen;
}
