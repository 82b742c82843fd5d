// Looks at what seekfs depends on (store, credentials, clock, conditional writes, cache directory, limits) and says what
// is wrong and what to do about it. Leaves nothing behind; one failed look never hides the others.
import { join } from 'node:path';
import { isSeekfsError, throwIfAborted, wrapSystemError } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import { formatBytes, GIB, MIB } from '../base/units.ts';
import { defaultReserveBytes } from '../cache/capacity.ts';
import type { Config } from '../config/config.ts';
import type { Disk } from '../disk/disk.ts';
import { namespacePrefix } from '../manifest/key-layout.ts';
import type { ObjectStore } from '../objectstore/object-store.ts';

export interface Finding {
  readonly check:
    | 'store'
    | 'credentials'
    | 'conditional writes'
    | 'clock'
    | 'cache directory'
    | 'disk speed'
    | 'free space'
    | 'open files'
    | 'memory';
  readonly status: 'ok' | 'warning' | 'failed';
  readonly found: string;
  /** What to do; only where something is to be done. */
  readonly advice?: string | undefined;
}

export interface DoctorDeps {
  readonly config: Config;
  readonly store: ObjectStore;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** What the process may open; undefined where it cannot be told. */
  readonly openFilesMax: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const PROBE_PREFIX = namespacePrefix('seekfs-doctor');
/** Signed requests fail from 15 minutes on; leases and listings are off well before. */
const CLOCK_SKEW_MS_WARN = 30_000;
const CLOCK_SKEW_MS_MAX = 14 * 60_000;
const DISK_PROBE_BYTES = 32 * MIB;
const DISK_BYTES_PER_S_WARN = 100 * MIB;
const OPEN_FILES_WARN = 1024;

export async function examine(deps: DoctorDeps): Promise<Finding[]> {
  const findings = [...(await examineStore(deps)), ...(await examineCache(deps))];
  throwIfAborted(deps.signal);
  return [...findings, ...examineLimits(deps)];
}

async function examineStore(deps: DoctorDeps): Promise<Finding[]> {
  const { clock, store, signal } = deps;
  const startedMs = clock.monotonicMs();
  try {
    for await (const _ of store.list({ prefix: 'namespaces/', signal })) break;
  } catch (error) {
    throwIfAborted(signal);
    return [storeFailure(error, deps.config)];
  }
  const listMs = Math.round(clock.monotonicMs() - startedMs);
  return [
    { check: 'store', status: 'ok', found: `${store.url} answers a listing in ${listMs} ms` },
    { check: 'credentials', status: 'ok', found: 'listing is allowed' },
    ...(await examineWrites(deps)),
  ];
}

function storeFailure(error: unknown, config: Config): Finding {
  const { code, message } = wrapSystemError(error, 'reach the store');
  const endpoint = config.store.kind === 's3' ? (config.store.s3.endpoint ?? 'AWS') : config.store.rootPath;
  const check = code === 'access_denied' ? 'credentials' : 'store';
  const advice: Readonly<Record<string, string>> = {
    access_denied:
      'check s3.access_key_id and s3.secret_access_key, or the AWS credential chain, and that they may list the bucket',
    bucket_not_found: 'create the bucket, or set store.url or s3.bucket',
    store_unavailable: `check that ${endpoint} is the right endpoint, runs, and is reachable from here`,
  };
  return { check, status: 'failed', found: message, advice: advice[code] ?? 'see docs/errors.md' };
}

async function examineWrites(deps: DoctorDeps): Promise<Finding[]> {
  const { clock, random, store, signal } = deps;
  try {
    const { ifNoneMatch, ifMatch } = await store.probeConditionalWrites({ prefix: PROBE_PREFIX, signal });
    const isSafe = ifNoneMatch && ifMatch;
    const key = `${PROBE_PREFIX}clock-${Buffer.from(random.bytes(8)).toString('hex')}`;
    const beforeMs = clock.nowMs();
    await store.put({
      key,
      source: { kind: 'bytes', bytes: Buffer.from('seekfs doctor') },
      condition: { kind: 'none' },
      durable: false,
      signal,
    });
    const afterMs = clock.nowMs();
    const { modifiedAtMs } = await store.head({ key, signal });
    await store.delete({ keys: [key], signal });
    return [
      {
        check: 'conditional writes',
        status: isSafe ? 'ok' : 'failed',
        found: `If-None-Match is ${ifNoneMatch ? 'honoured' : 'ignored'}, If-Match is ${ifMatch ? 'honoured' : 'ignored'}`,
        advice: isSafe
          ? undefined
          : 'publish from one place at a time, with --unsafe-publish, or use a store that honours both',
      },
      clockFinding(skewMs(modifiedAtMs, { beforeMs, afterMs })),
    ];
  } catch (error) {
    throwIfAborted(signal);
    const isReadOnly = isSeekfsError(error, 'access_denied');
    return [
      {
        check: 'conditional writes',
        status: isReadOnly ? 'warning' : 'failed',
        found: wrapSystemError(error, 'write to the store').message,
        advice: isReadOnly
          ? 'reading works; to publish from here, allow the credentials to put and delete'
          : 'see docs/errors.md',
      },
    ];
  }
}

/** How far the store's stamp is outside of the time that the put took; stamps have whole seconds. */
function skewMs(stampMs: number, put: { beforeMs: number; afterMs: number }): number {
  if (stampMs < put.beforeMs - 1000) return stampMs - (put.beforeMs - 1000);
  return stampMs > put.afterMs + 1000 ? stampMs - (put.afterMs + 1000) : 0;
}

function clockFinding(skew: number): Finding {
  const seconds = Math.round(Math.abs(skew) / 1000);
  if (Math.abs(skew) < CLOCK_SKEW_MS_WARN) return { check: 'clock', status: 'ok', found: 'agrees with the store’s' };
  return {
    check: 'clock',
    status: Math.abs(skew) > CLOCK_SKEW_MS_MAX ? 'failed' : 'warning',
    found: `the store’s is ${seconds} s ${skew > 0 ? 'ahead' : 'behind'}`,
    advice: 'synchronise this machine’s clock (NTP): signed requests fail at 15 minutes',
  };
}

async function examineCache(deps: DoctorDeps): Promise<Finding[]> {
  const { config, disk, clock, random, signal } = deps;
  const { path, backend } = config.cache;
  if (backend === 'mem') {
    return [
      {
        check: 'cache directory',
        status: 'warning',
        found: 'cache.l2.backend is "mem": nothing is kept on disk',
        advice: 'set it to "segmentstore"',
      },
    ];
  }
  const probe = join(path, `doctor-${Buffer.from(random.bytes(8)).toString('hex')}.tmp`);
  try {
    await disk.makeDirectory(path);
    const bytesPerS = await writeSpeed({ disk, clock, probe, signal });
    const isSlow = bytesPerS < DISK_BYTES_PER_S_WARN;
    return [
      { check: 'cache directory', status: 'ok', found: `${path} can be written` },
      {
        check: 'disk speed',
        status: isSlow ? 'warning' : 'ok',
        found: `writes and syncs ${formatBytes(Math.round(bytesPerS))}/s`,
        advice: isSlow ? 'put the cache on a local SSD with --cache or cache.l2.segment_path' : undefined,
      },
      await spaceFinding(deps),
    ];
  } catch (error) {
    throwIfAborted(signal);
    const { message } = wrapSystemError(error, `write to the cache directory ${path}`);
    return [
      {
        check: 'cache directory',
        status: 'failed',
        found: message,
        advice: 'reads go to the store; give another directory with --cache',
      },
    ];
  }
}

async function writeSpeed(probe: {
  disk: Disk;
  clock: Clock;
  probe: string;
  signal: AbortSignal | undefined;
}): Promise<number> {
  const { disk, clock, signal } = probe;
  const chunk = Buffer.alloc(MIB, 0xa5);
  const file = await disk.open(probe.probe, 'create');
  try {
    const startedMs = clock.monotonicMs();
    for (let off = 0; off < DISK_PROBE_BYTES; off += chunk.length) {
      throwIfAborted(signal);
      await file.write([chunk], off);
    }
    await file.sync();
    return DISK_PROBE_BYTES / Math.max((clock.monotonicMs() - startedMs) / 1000, 0.001);
  } finally {
    await file.close();
    await disk.remove(probe.probe);
  }
}

async function spaceFinding({ config, disk }: DoctorDeps): Promise<Finding> {
  const { freeBytes, totalBytes } = await disk.space(config.cache.path);
  const reserveBytes = config.cache.freeReserveBytes ?? defaultReserveBytes(totalBytes);
  const isLow = freeBytes < reserveBytes + GIB;
  return {
    check: 'free space',
    status: isLow ? 'warning' : 'ok',
    found: `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} free, ${formatBytes(reserveBytes)} of it reserved`,
    advice: isLow ? 'the cache has no room to grow: free space, or lower cache.free_reserve_gib' : undefined,
  };
}

function examineLimits({ config, openFilesMax }: DoctorDeps): Finding[] {
  const findings: Finding[] = [
    {
      check: 'memory',
      status: 'ok',
      found: `buffers may take ${formatBytes(config.memoryBytesMax)}, L1 ${formatBytes(config.cache.l1BytesMax)}`,
    },
  ];
  if (openFilesMax !== undefined) {
    const isLow = openFilesMax < OPEN_FILES_WARN;
    findings.push({
      check: 'open files',
      status: isLow ? 'warning' : 'ok',
      found: `the process may open ${openFilesMax}`,
      advice: isLow ? `raise it to ${OPEN_FILES_WARN} or more (ulimit -n)` : undefined,
    });
  }
  return findings;
}
