// A store over an S3 server, a scripted one mostly, as tests want it: no budget in the way, tried again after no time to
// speak of, and with the same pauses in every run.
import { systemClock } from '../../src/lib/base/clock.ts';
import { Metrics } from '../../src/lib/base/metrics.ts';
import { seededRandom } from '../../src/lib/base/random.ts';
import type { ObjectStore } from '../../src/lib/objectstore/object-store.ts';
import type { S3Options } from '../../src/lib/objectstore/s3-options.ts';
import { createS3Store, type S3StoreOptions } from '../../src/lib/objectstore/s3-store.ts';

export function openS3Store(
  s3: S3Options,
  { metrics = new Metrics(), ...options }: Partial<S3StoreOptions> & { readonly metrics?: Metrics } = {},
): ObjectStore {
  return createS3Store(
    {
      s3,
      engine: 'sdk',
      getBudgetPerSec: 10_000,
      maxInflightGets: 8,
      retryMaxAttempts: 3,
      retryInitialBackoffMs: 1,
      ...options,
    },
    { metrics, clock: systemClock, random: seededRandom(1) },
  );
}
