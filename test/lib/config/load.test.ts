// The loader as a whole: precedence, the search for the file, the seed's file, errors with key and line, clamping.
import { describe, expect, test } from 'vitest';
import { GIB, MIB } from '../../../src/lib/base/units.ts';
import { loadConfig, type LoadOptions } from '../../../src/lib/config/load.ts';
import type { SettingKey } from '../../../src/lib/config/schema.ts';
import { loadOptions } from '../../support/config.ts';

interface Given {
  files?: Record<string, string>;
  env?: Record<string, string>;
  flags?: Partial<Record<SettingKey, string>>;
  configFile?: string;
  oneShot?: boolean;
  readsOnce?: boolean;
  readsOneFile?: boolean;
  memory?: number;
}

function options(given: Given): LoadOptions {
  const flags = Object.entries(given.flags ?? {}) as [SettingKey, string][];
  return loadOptions(undefined, {
    configFile: given.configFile,
    flags: new Map(flags.map(([key, text]) => [key, { flag: `--${key}`, text }])),
    env: given.env ?? {},
    readFile: (path) => given.files?.[path],
    usableMemoryBytes: given.memory ?? 64 * GIB,
    oneShot: given.oneShot ?? false,
    readsOnce: given.readsOnce,
    readsOneFile: given.readsOneFile,
  });
}

const load = (given: Given) => loadConfig(options(given));
const loadText = (text: string, rest: Given = {}) => load({ files: { 'seekfs.toml': text }, ...rest });

const SEED_FILE = `
[cache]
slab_size_mib = 8
l1_memory_gib = 32
l2_ssd_gib = 64
policy = "s3fifo"

[cache.l2]
backend = "slabfile"
slabfile_path = "/var/lib/seekfs/l2"

[api]
listen = "0.0.0.0:7070"

[s3]
engine = "crt"
endpoint = "http://127.0.0.1:9000"
region = "us-east-1"
bucket = "seekfs"
access_key_id = "minioadmin"
secret_access_key = "minioadmin"
get_budget_per_sec = 200
range_coalesce_max_mib = 32
max_inflight_gets = 128
retry_max_attempts = 3
retry_initial_backoff_ms = 100
`;

describe('with no configuration at all', () => {
  test('the store and the cache are directories of the user', async () => {
    const config = await load({});
    expect(config.settings.size).toBe(0);
    expect(config.store).toEqual({ kind: 'directory', rootPath: '/home/ann/.local/share/seekfs/store' });
    expect(config.cache.path).toBe('/home/ann/.cache/seekfs/l2');
    expect(config.cache.l2BytesMax).toBeUndefined();
    expect(config.api.listen).toEqual({ host: '127.0.0.1', port: 7070 });
    expect(config.warnings).toEqual([]);
    expect(config.cache.readsOnce).toBe(false);
    expect((await load({ readsOnce: true })).cache.readsOnce).toBe(true);
  });

  test('XDG directories are honoured', async () => {
    const config = await load({ env: { XDG_DATA_HOME: '/d', XDG_CACHE_HOME: '/c' } });
    expect(config.store).toEqual({ kind: 'directory', rootPath: '/d/seekfs/store' });
    expect(config.cache.path).toBe('/c/seekfs/l2');
  });

  test('an AWS endpoint in the environment alone does not choose S3', async () => {
    expect((await load({ env: { AWS_ENDPOINT_URL: 'http://127.0.0.1:1' } })).store.kind).toBe('directory');
  });
});

describe('the seed’s file', () => {
  test('loads unchanged, aliases included', async () => {
    const config = await loadText(SEED_FILE, { memory: 128 * GIB });
    expect(config).toMatchObject({
      pageSizeBytes: 8 * MIB,
      rangeCoalesceMaxBytes: 32 * MIB,
      cache: { backend: 'segmentstore', path: '/var/lib/seekfs/l2', policy: 's3fifo', l2BytesMax: 64 * GIB },
      api: { listen: { host: '0.0.0.0', port: 7070 } },
      store: {
        kind: 's3',
        bucket: 'seekfs',
        s3: {
          engine: 'undici',
          endpoint: 'http://127.0.0.1:9000',
          region: 'us-east-1',
          credentials: { accessKeyId: 'minioadmin', secretAccessKey: 'minioadmin' },
          forcePathStyle: true,
          getBudgetPerSec: 200,
          maxInflightGets: 128,
          retryMaxAttempts: 3,
          retryInitialBackoffMs: 100,
        },
      },
    });
    expect(config.cache.l1BytesMax).toBe(32 * GIB);
    expect(config.memoryBytesMax).toBe(64 * GIB);
  });

  test('its values are the defaults of absent keys', async () => {
    const config = await loadText('[s3]\nendpoint = "http://127.0.0.1:9000"');
    expect(config).toMatchObject({
      pageSizeBytes: 8 * MIB,
      rangeCoalesceMaxBytes: 32 * MIB,
      store: {
        bucket: 'seekfs',
        s3: {
          region: 'us-east-1',
          credentials: undefined,
          getBudgetPerSec: 200,
          maxInflightGets: 128,
          retryMaxAttempts: 3,
          retryInitialBackoffMs: 100,
        },
      },
    });
  });
});

describe('precedence', () => {
  const files = { 'seekfs.toml': '[api]\nlisten = "127.0.0.1:1"' };
  test('a flag wins over the environment, that over the file', async () => {
    const env = { SEEKFS_LISTEN: '127.0.0.1:2' };
    const port = async (given: Given) => (await load(given)).api.listen.port;
    expect(await port({ files })).toBe(1);
    expect(await port({ files, env })).toBe(2);
    expect(await port({ files, env, flags: { 'api.listen': '127.0.0.1:3' } })).toBe(3);
  });

  test('an empty variable counts as not set', async () => {
    expect((await load({ files, env: { SEEKFS_LISTEN: '' } })).api.listen.port).toBe(1);
  });

  test('--store wins over the [s3] table of the file', async () => {
    const config = await load({ files: { 'seekfs.toml': SEED_FILE }, flags: { 'store.url': 'file:///data' } });
    expect(config.store).toEqual({ kind: 'directory', rootPath: '/data' });
  });

  test('AWS variables fill what the file leaves open', async () => {
    const env = { AWS_ENDPOINT_URL: 'http://127.0.0.1:5', AWS_REGION: 'eu-west-3' };
    expect(await load({ env, flags: { 'store.url': 's3://b' } })).toMatchObject({
      store: { bucket: 'b', s3: { endpoint: 'http://127.0.0.1:5', region: 'eu-west-3' } },
    });
    expect(await loadText(SEED_FILE, { env })).toMatchObject({
      store: { s3: { endpoint: 'http://127.0.0.1:9000', region: 'us-east-1' } },
    });
  });
});

describe('the search for the file', () => {
  const listen = (port: number) => `[api]\nlisten = "127.0.0.1:${port}"`;
  const files = {
    '/x/a.toml': listen(1),
    '/x/b.toml': listen(2),
    'seekfs.toml': listen(3),
    '/home/ann/.config/seekfs/seekfs.toml': listen(4),
  };
  const without = (name: string) => Object.fromEntries(Object.entries(files).filter(([path]) => path !== name));

  test.each([
    ['--config', { files, configFile: '/x/a.toml', env: { SEEKFS_CONFIG: '/x/b.toml' } }, 1],
    ['SEEKFS_CONFIG', { files, env: { SEEKFS_CONFIG: '/x/b.toml' } }, 2],
    ['the working directory', { files }, 3],
    ['the user’s directory', { files: without('seekfs.toml') }, 4],
  ] as [string, Given, number][])('%s', async (_, given, port) => {
    expect((await load(given)).api.listen.port).toBe(port);
  });

  test('a file that was named and is not there is an error', async () => {
    await expect(load({ configFile: '/none.toml' })).rejects.toMatchObject({
      code: 'file_not_found',
      message: expect.stringContaining('/none.toml, named by --config'),
    });
  });

  test('relative paths in it begin at its directory', async () => {
    const config = await load({ configFile: '/x/a.toml', files: { '/x/a.toml': '[cache.l2]\nsegment_path = "l2"' } });
    expect(config.cache.path).toBe('/x/l2');
    const flags = { 'cache.l2.segment_path': 'l2' };
    expect((await load({ configFile: '/x/a.toml', files, flags })).cache.path).toBe('/here/l2');
    expect((await load({ flags: { 'cache.l2.segment_path': '~/l2' } })).cache.path).toBe('/home/ann/l2');
  });
});

describe('what is wrong is named with key and line', () => {
  test.each([
    ['unknown key', '[cache]\n\npolice = "lru"', 'seekfs.toml:3: unknown key cache.police; did you mean cache.policy?'],
    ['unknown table', '[cash]\npolicy = "lru"', 'seekfs.toml:2: unknown key cash.policy'],
    ['unknown empty table', '\n[cash]', 'seekfs.toml:2: unknown key cash'],
    ['dotted key', 'cache.l3.backend = "mem"', 'seekfs.toml:1: unknown key cache.l3.backend'],
    ['inline table', 'cache = { polizy = "lru" }', 'seekfs.toml:1: unknown key cache.polizy'],
    ['table as value', 'cache = 3', 'seekfs.toml:1: cache is a table; write it as a table, [cache]'],
    ['wrong type', '[s3]\nregion = 7', 'seekfs.toml:2: s3.region must be a string, not a number'],
    ['text for a count', '[s3]\nmax_inflight_gets = "8"', 'seekfs.toml:2: s3.max_inflight_gets must be a whole number'],
    [
      'fraction',
      '[s3]\nmax_inflight_gets = 1.5',
      'seekfs.toml:2: s3.max_inflight_gets must be a whole number, not 1.5',
    ],
    ['too small', '[s3]\nmax_inflight_gets = 0', 'seekfs.toml:2: s3.max_inflight_gets must be at least 1, is 0'],
    ['bad unit', '[cache]\nl2_ssd_gib = "5 parsec"', 'seekfs.toml:2: cache.l2_ssd_gib has a bad unit'],
    ['no unit', '[cache]\nl2_ssd_gib = "5"', 'seekfs.toml:2: cache.l2_ssd_gib must be a number, or a size with a unit'],
    ['infinite', '[cache]\nl2_ssd_gib = inf', 'seekfs.toml:2: cache.l2_ssd_gib must be a finite number'],
    ['choice', '[s3]\nengine = "curl"', 'seekfs.toml:2: s3.engine must be one of "sdk", "undici", not "curl"'],
    ['page size', '[cache]\npage_size_mib = 3', 'seekfs.toml:2: cache.page_size_mib must be a power of two, is 3'],
    ['listen', '[api]\nlisten = "7070"', 'seekfs.toml:2: api.listen must be host:port or [ipv6]:port'],
    ['half a key pair', '[s3]\naccess_key_id = "a"', 'seekfs.toml:2: s3.access_key_id needs s3.secret_access_key'],
    ['endpoint', '[s3]\nendpoint = "localhost:9000"', 'seekfs.toml:2: s3.endpoint must be http://host:port'],
    ['bucket', '[s3]\nbucket = "s3://b"', 'seekfs.toml:2: s3.bucket must be a name alone, not "s3://b"'],
    ['store', '[store]\nurl = "ftp://x"', 'seekfs.toml:2: store.url must be file:///directory or s3://bucket'],
    ['alias beside key', '[cache]\npage_size_mib = 8\nslab_size_mib = 4', 'seekfs.toml:3: cache.slab_size_mib sets'],
    ['syntax', '[cache]\npolicy = lru', 'seekfs.toml:2: not valid TOML'],
  ])('%s', async (_, text, message) => {
    await expect(loadText(text)).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining(message),
    });
  });

  test('a price may be a fraction, in the file and in the environment', async () => {
    const file = await loadText('[s3]\nprice_per_1000_gets = 0.0004');
    const env = await load({ env: { SEEKFS_S3_PRICE_PER_1000_GETS: '0.0004' } });
    for (const { store } of [file, env]) expect(store).toMatchObject({ s3: { pricePer1000Gets: 0.0004 } });
    const negative = loadText('[s3]\nprice_per_1000_gets = -1');
    await expect(negative).rejects.toMatchObject({ message: expect.stringContaining('must be at least 0, is -1') });
  });

  test('a variable of the environment is named', async () => {
    await expect(load({ env: { SEEKFS_S3_MAX_INFLIGHT_GETS: 'many' } })).rejects.toMatchObject({
      code: 'config_invalid',
      message: 'environment: SEEKFS_S3_MAX_INFLIGHT_GETS must be a whole number, not "many"',
    });
  });

  test('a variable that is no setting is warned about, once', async () => {
    const config = await load({ env: { SEEKFS_CAHCE: '/x', SEEKFS_AC_BASH_SETUP_PATH: '/y' } });
    expect(config.warnings).toEqual([expect.stringContaining('SEEKFS_CAHCE is no setting')]);
  });

  test('a flag is a usage error', async () => {
    await expect(load({ flags: { log_level: 'loud' } })).rejects.toMatchObject({ code: 'usage' });
  });

  test('no message repeats a secret', async () => {
    const secret = '[s3]\naccess_key_id = "a"\nsecret_access_key = 123456';
    const error: unknown = await loadText(secret).catch((thrown: unknown) => thrown);
    expect(String(error)).not.toContain('123456');
  });
});

describe('clamping', () => {
  test('an L1 that the machine cannot hold is clamped with a warning', async () => {
    const config = await loadText('[cache]\nl1_memory_gib = 32', { memory: 16 * GIB });
    expect(config.memoryBytesMax).toBe(12 * GIB);
    expect(config.cache.l1BytesMax).toBe(6 * GIB);
    expect(config.warnings).toEqual([expect.stringContaining('cache.l1_memory_gib (32.0 GiB)')]);
  });

  test('the memory limit is an eighth, at least 256 MiB, and L1 half of it', async () => {
    expect(await load({ memory: 64 * GIB })).toMatchObject({ memoryBytesMax: 8 * GIB, cache: { l1BytesMax: 4 * GIB } });
    expect(await load({ memory: GIB })).toMatchObject({ memoryBytesMax: 256 * MIB, cache: { l1BytesMax: 128 * MIB } });
  });

  test('a one-shot command takes 64 MiB of L1, whatever the file says', async () => {
    const config = await loadText(SEED_FILE, { oneShot: true });
    expect(config).toMatchObject({ memoryBytesMax: 192 * MIB, cache: { l1BytesMax: 64 * MIB }, warnings: [] });
  });

  test('a command that reads one file once takes no more memory than that needs, unless it is told to', async () => {
    const lifetime = { oneShot: true, readsOnce: true, readsOneFile: true };
    expect(await load(lifetime)).toMatchObject({ memoryBytesMax: 96 * MIB, cache: { l1BytesMax: 0 } });
    expect(await loadText('[read]\npart_size_mib = 16', lifetime)).toMatchObject({ memoryBytesMax: 192 * MIB });
    const config = await loadText('[read]\nmemory_mib = 300', { ...lifetime, memory: 8 * GIB });
    expect(config).toMatchObject({ memoryBytesMax: 300 * MIB, cache: { l1BytesMax: 0 } });
  });

  test('a memory limit over three quarters of the machine is clamped', async () => {
    const config = await loadText('[read]\nmemory_mib = "10GiB"', { memory: 8 * GIB });
    expect(config.memoryBytesMax).toBe(6 * GIB);
    expect(config.warnings).toEqual([expect.stringContaining('read.memory_mib')]);
  });

  test('an L2 larger than its file system is clamped', async () => {
    const config = await loadText('[cache]\nl2_ssd_gib = 5000');
    expect(config.cache.l2BytesMax).toBe(100 * GIB);
    expect(config.warnings).toEqual([expect.stringContaining('cache.l2_ssd_gib (5000 GiB)')]);
  });
});
