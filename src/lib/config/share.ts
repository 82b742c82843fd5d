// The configuration of one of several worker processes: what bounds a host is divided, so that all together keep to it.
import { SLAB_BYTES } from '../base/memory.ts';
import type { Config, StoreTarget } from './config.ts';

function shareStore(store: StoreTarget, workers: number): StoreTarget {
  if (store.kind === 'directory') return store;
  const { getBudgetPerSec, getBudgetPerDay, getBudgetBytesPerSec, maxInflightGets } = store.s3;
  const share = (count: number): number => Math.max(1, Math.floor(count / workers));
  return {
    ...store,
    s3: {
      ...store.s3,
      getBudgetPerSec: share(getBudgetPerSec),
      getBudgetPerDay: getBudgetPerDay === undefined ? undefined : share(getBudgetPerDay),
      getBudgetBytesPerSec: getBudgetBytesPerSec === undefined ? undefined : share(getBudgetBytesPerSec),
      maxInflightGets: share(maxInflightGets),
    },
  };
}

/** Memory, L1, GETs and bytes a second and GETs in flight by the number of workers; L2 is one for all of them. */
export function shareConfig(config: Config, workers: number): Config {
  if (workers === 1) return config;
  const share = (bytes: number): number => Math.max(64 * SLAB_BYTES, Math.floor(bytes / workers));
  return {
    ...config,
    store: shareStore(config.store, workers),
    memoryBytesMax: share(config.memoryBytesMax),
    cache: { ...config.cache, l1BytesMax: Math.floor(config.cache.l1BytesMax / workers) },
    // The primary has said them.
    warnings: [],
  };
}
