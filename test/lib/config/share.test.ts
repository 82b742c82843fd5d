import { expect, test } from 'vitest';
import { SLAB_BYTES } from '../../../src/lib/base/memory.ts';
import { GIB, MIB } from '../../../src/lib/base/units.ts';
import { shareConfig } from '../../../src/lib/config/share.ts';
import { testConfig } from '../../support/config.ts';

const S3 = `
[read]
memory_mib = 8192
[cache]
l1_memory_gib = 2
l2_ssd_gib = 50
[s3]
get_budget_per_sec = 201
get_budget_per_day = 1000
get_budget_mib_per_sec = 100
max_inflight_gets = 3
`;

test('what bounds a host is divided among its workers; what they share stays whole', async () => {
  const config = await testConfig(S3);
  const shared = shareConfig(config, 4);
  expect(shared.memoryBytesMax).toBe(2 * GIB);
  expect(shared.cache).toEqual({ ...config.cache, l1BytesMax: 512 * MIB });
  expect(shared.cache.l2BytesMax).toBe(50 * GIB);
  const [whole, part] = [config.store, shared.store];
  if (whole.kind !== 's3' || part.kind !== 's3') throw new Error('the store is no bucket');
  expect(part).toEqual({
    ...whole,
    s3: {
      ...whole.s3,
      getBudgetPerSec: 50,
      getBudgetPerDay: 250,
      getBudgetBytesPerSec: 25 * MIB,
      // Without a GET in flight nobody could read.
      maxInflightGets: 1,
    },
  });
});

test('limits that nobody set are not made up', async () => {
  const { store } = shareConfig(await testConfig('[s3]\nbucket = "b"'), 2);
  expect(store).toMatchObject({ s3: { getBudgetPerDay: undefined, getBudgetBytesPerSec: undefined } });
});

test('a worker keeps what it cannot work without, however many there are', async () => {
  expect(shareConfig(await testConfig(S3), 100_000).memoryBytesMax).toBe(64 * SLAB_BYTES);
});

test('the only worker has all of it', async () => {
  const config = await testConfig(S3);
  expect(shareConfig(config, 1)).toEqual(config);
});

test('workers do not say again what the primary has said', async () => {
  const config = await testConfig('[cache]\nl2_ssd_gib = 5000');
  expect(config.warnings).toHaveLength(1);
  expect(shareConfig(config, 2).warnings).toEqual([]);
});
