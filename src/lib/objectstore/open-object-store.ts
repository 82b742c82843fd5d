// From a description of the store to one that is ready for use: engine and decorators in their order. Used by the
// composition root; sends nothing and loads no engine by itself.
import { systemClock } from '../base/clock.ts';
import type { Metrics } from '../base/metrics.ts';
import { systemRandom } from '../base/random.ts';
import { LazyObjectStore } from './lazy.ts';
import type { ObjectStore } from './object-store.ts';
import { s3Url, type S3Options } from './s3-options.ts';
import type { S3StoreOptions } from './s3-store.ts';

type EngineOptions = Omit<S3Options, 'bucket'> & Omit<S3StoreOptions, 's3'>;

export type StoreOptions =
  | { readonly kind: 'directory'; readonly rootPath: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly s3: EngineOptions };

export function openObjectStore(target: StoreOptions, { metrics }: { readonly metrics: Metrics }): ObjectStore {
  const clock = systemClock;
  if (target.kind === 'directory') {
    const { rootPath } = target;
    return new LazyObjectStore(`file://${rootPath}`, async () => {
      const [{ DirectoryObjectStore }, { CountedObjectStore }, { RequestCounter }] = await Promise.all([
        import('./directory.ts'),
        import('./counted.ts'),
        import('./request-counter.ts'),
      ]);
      return new CountedObjectStore(new DirectoryObjectStore({ rootPath, clock }), new RequestCounter(metrics));
    });
  }
  const s3: S3Options = { ...target.s3, bucket: target.bucket };
  return new LazyObjectStore(s3Url(s3), async () => {
    const { createS3Store } = await import('./s3-store.ts');
    return createS3Store({ ...target.s3, s3 }, { metrics, clock, random: systemRandom });
  });
}
