// A read path on a memory store and a memory cache, with everything around it in reach of the test.
import { expect } from 'vitest';
import { isSeekfsError } from '../../src/lib/base/errors.ts';
import { MemoryGovernor } from '../../src/lib/base/memory.ts';
import { Metrics } from '../../src/lib/base/metrics.ts';
import { MIB } from '../../src/lib/base/units.ts';
import { MemoryObjectStore } from './memory-object-store.ts';
import { createReader, type ReaderDeps, type ReadLimits } from '../../src/lib/read/open-reader.ts';
import type { Reader } from '../../src/lib/read/reader.ts';
import { MemoryPageCache } from './memory-page-cache.ts';
import { WatchedStore } from './watched-store.ts';

export interface ReadBench {
  readonly store: WatchedStore;
  readonly cache: MemoryPageCache;
  readonly memory: MemoryGovernor;
  readonly metrics: Metrics;
  readonly warnings: string[];
  readonly reader: Reader;
}

const benches: ReadBench[] = [];

export function readBench(
  options: { memoryBytes?: number; limits?: Partial<ReadLimits>; deps?: Partial<ReaderDeps> } = {},
): ReadBench {
  const store = new WatchedStore(new MemoryObjectStore());
  const memory = new MemoryGovernor({ limitBytes: options.memoryBytes ?? 256 * MIB });
  const cache = new MemoryPageCache(memory);
  const metrics = new Metrics();
  const warnings: string[] = [];
  const reader = createReader({
    store: () => Promise.resolve(store),
    cache,
    memory,
    metrics,
    log: { log: (_level, message) => warnings.push(message) },
    limits: { rangeCoalesceMaxBytes: 32 * MIB, requireChecksums: false, ...options.limits },
    ...options.deps,
  });
  const made = { store, cache, memory, metrics, warnings, reader };
  benches.push(made);
  return made;
}

/** Closes every bench of the test and checks that nothing is left over. */
export async function closeBenches(): Promise<void> {
  for (const { reader, memory, store } of benches.splice(0)) {
    await reader.close();
    expect(memory.inUseBytes, 'all memory came back').toBe(0);
    expect(memory.waiting).toBe(0);
    expect(store.active).toBe(0);
  }
}

/** The code of the SeekfsError that the work fails with. */
export async function failure(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (!isSeekfsError(error)) throw new Error(`a SeekfsError was expected, got ${String(error)}`);
  return error.code;
}
