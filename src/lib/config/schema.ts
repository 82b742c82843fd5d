// The one table of settings: every key of seekfs.toml with its type, unit, default, aliases and environment variable.
// The loader, `serve --print-config` and the test of docs/configuration.md all read it; nothing else names a key.
import { LOG_LEVELS } from '../base/log.ts';
import { GIB, KIB, MIB } from '../base/units.ts';
import { API_SETTINGS } from './api-settings.ts';

interface RowBase {
  /** What the setting does; the sentence of the documentation. */
  readonly doc: string;
  readonly env: string;
  /** Earlier names of the key in the same table. */
  readonly aliases?: readonly string[];
  /** How the default reads where it is no plain value. */
  readonly defaultText?: string;
}

interface SizeRow extends RowBase {
  readonly kind: 'size';
  /** Bytes that a bare number stands for; a string gives its own unit ("512MiB"). */
  readonly unitBytes: number;
  readonly min: number;
  readonly max?: number;
  /** In bytes. */
  readonly default?: number;
}

interface CountRow extends RowBase {
  readonly kind: 'count';
  readonly min: number;
  readonly max?: number;
  readonly default?: number;
}

/** Any number, fractions too. */
interface DecimalRow extends RowBase {
  readonly kind: 'decimal';
  readonly min: number;
  readonly default?: number;
}

interface ChoiceRow extends RowBase {
  readonly kind: 'choice';
  readonly choices: readonly string[];
  /** Other spellings of the choices. */
  readonly choiceAliases?: Readonly<Record<string, string>>;
  readonly default: string;
}

interface FlagRow extends RowBase {
  readonly kind: 'flag';
  readonly default?: boolean;
}

interface TextRow extends RowBase {
  readonly kind: 'text';
  readonly secret?: boolean;
  readonly default?: string;
}

export type SettingRow = SizeRow | CountRow | DecimalRow | ChoiceRow | FlagRow | TextRow;

export const SETTINGS = {
  log_level: {
    kind: 'choice',
    choices: LOG_LEVELS,
    default: 'warn',
    env: 'SEEKFS_LOG_LEVEL',
    doc: 'what the log on stderr shows',
  },
  'store.url': {
    kind: 'text',
    env: 'SEEKFS_STORE',
    defaultText: 's3://BUCKET where any key of [s3] is set, else the embedded store under the user’s data directory',
    doc: 'the object store: `file:///dir` (a plain directory with S3 semantics) or `s3://bucket`',
  },
  'store.unsafe_publish': {
    kind: 'flag',
    default: false,
    env: 'SEEKFS_UNSAFE_PUBLISH',
    doc: 'publish to a store that ignores conditional writes, at the risk of losing versions',
  },
  'read.require_checksums': {
    kind: 'flag',
    default: false,
    env: 'SEEKFS_REQUIRE_CHECKSUMS',
    doc: 'refuse files whose manifest has no checksums',
  },
  'read.memory_mib': {
    kind: 'size',
    unitBytes: MIB,
    min: 64 * MIB,
    env: 'SEEKFS_MEMORY_MIB',
    defaultText: 'an eighth of what the process may use, at least 256; one-shot commands 192, cat 96',
    doc: 'one limit for all buffers: L1, bytes in flight and responses',
  },
  'read.fetch_quantum_kib': {
    kind: 'size',
    unitBytes: KIB,
    min: 128 * KIB,
    max: 64 * MIB,
    default: 128 * KIB,
    env: 'SEEKFS_FETCH_QUANTUM_KIB',
    doc: 'what a random read fetches at least, in whole granules of 128 KiB, inside one page',
  },
  'read.part_size_mib': {
    kind: 'size',
    unitBytes: MIB,
    min: MIB / 8,
    max: 1024 * MIB,
    default: 8 * MIB,
    env: 'SEEKFS_READ_PART_SIZE_MIB',
    doc: 'a cold sequential stream is fetched in GETs of this size, several at once',
  },
  'cache.page_size_mib': {
    kind: 'size',
    unitBytes: MIB,
    min: MIB / 16,
    max: 64 * MIB,
    default: 8 * MIB,
    aliases: ['slab_size_mib'],
    env: 'SEEKFS_PAGE_SIZE_MIB',
    doc: 'page size of what is published from here, a power of two from 0.0625 (64 KiB) to 64',
  },
  'cache.l1_memory_gib': {
    kind: 'size',
    unitBytes: GIB,
    min: 0,
    env: 'SEEKFS_L1_MEMORY_GIB',
    defaultText: 'half of the memory limit; one-shot commands 64 MiB at most, cat and get none',
    doc: 'L1, the pages kept in memory; never more than half of the memory limit',
  },
  'cache.l2_ssd_gib': {
    kind: 'size',
    unitBytes: GIB,
    min: 0,
    env: 'SEEKFS_L2_SSD_GIB',
    defaultText: 'half of the free space when the cache is created',
    doc: 'L2, the pages kept on disk; 0 keeps none',
  },
  'cache.free_reserve_gib': {
    kind: 'size',
    unitBytes: GIB,
    min: 0,
    env: 'SEEKFS_FREE_RESERVE_GIB',
    defaultText: 'the smaller of 10 % and 32 GiB of the file system',
    doc: 'space that L2 leaves free on its file system',
  },
  'cache.namespace_quota_gib': {
    kind: 'size',
    unitBytes: GIB,
    min: 0,
    env: 'SEEKFS_NAMESPACE_QUOTA_GIB',
    defaultText: 'none',
    doc: 'at most so much of L2 for the pages of any one namespace',
  },
  'cache.policy': {
    kind: 'choice',
    choices: ['auto', 'retain', 's3fifo', 'lru'],
    default: 'auto',
    env: 'SEEKFS_CACHE_POLICY',
    doc: 'what is kept when the cache is full',
  },
  'cache.l2.backend': {
    kind: 'choice',
    choices: ['segmentstore', 'mem'],
    choiceAliases: { slabfile: 'segmentstore' },
    default: 'segmentstore',
    env: 'SEEKFS_L2_BACKEND',
    doc: 'L2 on disk, or none but memory',
  },
  'cache.l2.segment_path': {
    kind: 'text',
    aliases: ['slabfile_path'],
    env: 'SEEKFS_CACHE',
    defaultText: '`seekfs/l2` under the user’s cache directory',
    doc: 'directory of L2',
  },
  ...API_SETTINGS,
  's3.engine': {
    kind: 'choice',
    choices: ['sdk', 'undici'],
    choiceAliases: { crt: 'undici' },
    default: 'sdk',
    env: 'SEEKFS_S3_ENGINE',
    doc: 'the AWS SDK, or the high-throughput engine for reads',
  },
  's3.endpoint': {
    kind: 'text',
    env: 'SEEKFS_S3_ENDPOINT',
    defaultText: '`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, else AWS’s own for the region',
    doc: 'URL of the S3 server',
  },
  's3.region': {
    kind: 'text',
    env: 'SEEKFS_S3_REGION',
    defaultText: '`AWS_REGION`, `AWS_DEFAULT_REGION`, else us-east-1',
    doc: 'region that requests are signed for',
  },
  's3.bucket': {
    kind: 'text',
    default: 'seekfs',
    env: 'SEEKFS_S3_BUCKET',
    doc: 'bucket, where `store.url` names none',
  },
  's3.access_key_id': {
    kind: 'text',
    env: 'SEEKFS_S3_ACCESS_KEY_ID',
    defaultText: 'the AWS default credential chain',
    doc: 'access key; needs the secret beside it',
  },
  's3.secret_access_key': {
    kind: 'text',
    secret: true,
    env: 'SEEKFS_S3_SECRET_ACCESS_KEY',
    defaultText: 'the AWS default credential chain',
    doc: 'secret of the access key',
  },
  's3.session_token': {
    kind: 'text',
    secret: true,
    env: 'SEEKFS_S3_SESSION_TOKEN',
    defaultText: 'none',
    doc: 'session token of temporary keys',
  },
  's3.force_path_style': {
    kind: 'flag',
    env: 'SEEKFS_S3_FORCE_PATH_STYLE',
    defaultText: 'true where an endpoint is set',
    doc: 'bucket in the path instead of in the host name',
  },
  's3.ca_file': {
    kind: 'text',
    env: 'SEEKFS_S3_CA_FILE',
    defaultText: '`AWS_CA_BUNDLE`, else the system’s',
    doc: 'PEM file of certificate authorities for the endpoint',
  },
  's3.get_budget_per_sec': {
    kind: 'count',
    min: 1,
    max: 1_000_000,
    default: 200,
    env: 'SEEKFS_S3_GET_BUDGET_PER_SEC',
    doc: 'GET requests a second, per process',
  },
  's3.get_budget_per_day': {
    kind: 'count',
    min: 1,
    env: 'SEEKFS_S3_GET_BUDGET_PER_DAY',
    defaultText: 'no ceiling',
    doc: 'GET requests from midnight to midnight (UTC), per process; further ones are refused',
  },
  's3.get_budget_mib_per_sec': {
    kind: 'size',
    unitBytes: MIB,
    min: MIB / 8,
    env: 'SEEKFS_S3_GET_BUDGET_MIB_PER_SEC',
    defaultText: 'no limit',
    doc: 'bytes a second that GET requests bring, per process',
  },
  's3.price_per_1000_gets': {
    kind: 'decimal',
    min: 0,
    env: 'SEEKFS_S3_PRICE_PER_1000_GETS',
    defaultText: 'none',
    doc: 'what the store charges, in any currency: `--stats`, the status page and forecasts then tell costs',
  },
  's3.range_coalesce_max_mib': {
    kind: 'size',
    unitBytes: MIB,
    min: MIB / 16,
    max: 1024 * MIB,
    default: 32 * MIB,
    env: 'SEEKFS_S3_RANGE_COALESCE_MAX_MIB',
    doc: 'neighbouring misses are fetched together up to this size',
  },
  's3.range_coalesce_gap_kib': {
    kind: 'size',
    unitBytes: KIB,
    min: 0,
    max: 64 * MIB,
    default: 256 * KIB,
    env: 'SEEKFS_S3_RANGE_COALESCE_GAP_KIB',
    doc: 'bytes between two misses that one GET may fetch and drop rather than be two',
  },
  's3.max_inflight_gets': {
    kind: 'count',
    min: 1,
    max: 4096,
    default: 128,
    env: 'SEEKFS_S3_MAX_INFLIGHT_GETS',
    doc: 'GET requests at the same time, per process',
  },
  's3.hedge_slow_gets': {
    kind: 'flag',
    default: false,
    env: 'SEEKFS_S3_HEDGE_SLOW_GETS',
    doc: 'send a demand GET a second time when its answer is later than 98 % were of late; at most 2 % more GETs',
  },
  's3.retry_max_attempts': {
    kind: 'count',
    min: 1,
    max: 100,
    default: 3,
    env: 'SEEKFS_S3_RETRY_MAX_ATTEMPTS',
    doc: 'attempts of one request, the first included',
  },
  's3.retry_initial_backoff_ms': {
    kind: 'count',
    min: 1,
    max: 60_000,
    default: 100,
    env: 'SEEKFS_S3_RETRY_INITIAL_BACKOFF_MS',
    doc: 'upper end of the first random pause; it doubles with each attempt',
  },
} as const satisfies Readonly<Record<string, SettingRow>>;

export type SettingKey = keyof typeof SETTINGS;
export const SETTING_KEYS = Object.keys(SETTINGS) as SettingKey[];

/** What the value of a key is once it is parsed: bytes for sizes, else what its type says. */
export type SettingValue<K extends SettingKey> = (typeof SETTINGS)[K] extends { kind: 'size' | 'count' | 'decimal' }
  ? number
  : (typeof SETTINGS)[K] extends { kind: 'flag' }
    ? boolean
    : (typeof SETTINGS)[K] extends { kind: 'choice'; choices: infer C extends readonly string[] }
      ? C[number]
      : string;

/** The key that a dotted name of the file stands for, aliases included. */
export function settingKeyOf(name: string): SettingKey | undefined {
  return KEY_BY_NAME.get(name);
}

const KEY_BY_NAME: ReadonlyMap<string, SettingKey> = new Map(
  SETTING_KEYS.flatMap((key) => {
    const table = key.slice(0, key.lastIndexOf('.') + 1);
    const { aliases = [] }: SettingRow = SETTINGS[key];
    return [key, ...aliases.map((alias) => table + alias)].map((name) => [name, key] as const);
  }),
);

/** The tables of the file: every proper prefix of a key. */
export const TABLE_NAMES: ReadonlySet<string> = new Set(
  SETTING_KEYS.flatMap((key) => {
    const parts = key.split('.');
    return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('.'));
  }),
);
