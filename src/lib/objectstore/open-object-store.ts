// From a description of the store to one that is ready for use: engine and decorators in their order. Used by the
// composition root; sends nothing by itself.
import { SeekfsError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { nodeDisk } from '../disk/node-disk.ts';
import { DirectoryObjectStore } from './directory.ts';
import type { ObjectStore } from './object-store.ts';

export type StoreOptions = { readonly kind: 'directory'; readonly rootPath: string } | { readonly kind: 's3' };

export function openObjectStore(target: StoreOptions, _deps: { metrics: Metrics; log: Logger }): ObjectStore {
  if (target.kind === 's3') throw new SeekfsError('usage', 'the S3 engines are not wired yet');
  return new DirectoryObjectStore({ rootPath: target.rootPath, disk: nodeDisk });
}
