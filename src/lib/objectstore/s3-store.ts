// An S3 store as the library uses it: an engine, and around it, from the inside, hedging, the GET budget and the retries. Loaded
// only when a request goes to an S3 store.
import type { Clock } from '../base/clock.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import { BudgetedObjectStore } from './budget.ts';
import { GetGate } from './get-gate.ts';
import { HedgedObjectStore } from './hedge.ts';
import { LazyObjectStore } from './lazy.ts';
import type { ObjectStore } from './object-store.ts';
import { RequestCounter } from './request-counter.ts';
import { RetryingObjectStore } from './retry.ts';
import type { RetryPolicy } from './retry-policy.ts';
import { s3Url, type S3Options } from './s3-options.ts';
import { UndiciObjectStore } from './undici.ts';

export interface S3StoreOptions {
  readonly s3: S3Options;
  readonly engine: 'sdk' | 'undici';
  /** Infinity: no limit. */
  readonly getBudgetPerSec: number;
  readonly getBudgetPerDay?: number | undefined;
  /** Undefined: no limit. */
  readonly getBudgetBytesPerSec?: number | undefined;
  readonly maxInflightGets: number;
  /** Slow demand GETs are sent a second time, at most 2 % of them. */
  readonly hedgeSlowGets?: boolean | undefined;
  readonly retryMaxAttempts: number;
  readonly retryInitialBackoffMs: number;
}

export interface StoreDeps {
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: Random;
}

export function createS3Store(options: S3StoreOptions, deps: StoreDeps): ObjectStore {
  const { metrics, clock, random } = deps;
  const policy: RetryPolicy = {
    attemptsMax: Math.max(1, options.retryMaxAttempts),
    initialBackoffMs: options.retryInitialBackoffMs,
    clock,
    random,
    onRetry: () => metrics.add('seekfs_store_retries_total'),
  };
  const gate = new GetGate({
    getsPerSecond: options.getBudgetPerSec,
    bytesPerSecond: options.getBudgetBytesPerSec,
    getsPerDayMax: options.getBudgetPerDay,
    inflightMax: options.maxInflightGets,
    clock,
    metrics,
  });
  const s3 = { connectionsMax: Math.max(1, options.maxInflightGets), ...options.s3 };
  const counter = new RequestCounter(metrics);
  // Reads through the other engine do without it.
  const sdk = new LazyObjectStore(s3Url(s3), async () => {
    const { SdkObjectStore } = await import('./sdk.ts');
    return new SdkObjectStore({ s3, counter, partRetries: policy });
  });
  const engine = options.engine === 'sdk' ? sdk : new UndiciObjectStore({ s3, counter, clock, sdk });
  const hedged = options.hedgeSlowGets ? new HedgedObjectStore(engine, { gate, clock, metrics }) : engine;
  return new RetryingObjectStore(new BudgetedObjectStore(hedged, gate), policy);
}
