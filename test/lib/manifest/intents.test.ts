import { beforeEach, expect, test } from 'vitest';
import { SeekfsError } from '../../../src/lib/base/errors.ts';
import type { ManifestEdit } from '../../../src/lib/manifest/edit.ts';
import { Lease, LEASE_MS } from '../../../src/lib/manifest/intents.ts';
import { fileKey, gcMarkKey, headKey, manifestKey } from '../../../src/lib/manifest/key-layout.ts';
import { publish } from '../../../src/lib/manifest/publisher.ts';
import type { PutDeps } from '../../../src/lib/manifest/put.ts';
import { collectRemote } from '../../../src/lib/manifest/remote-gc.ts';
import type { FileEntry } from '../../../src/lib/manifest/types.ts';
import { MemoryObjectStore } from '../../support/memory-object-store.ts';
import type { PutRequest } from '../../../src/lib/objectstore/object-store.ts';
import { listKeys, manifestDeps } from '../../support/manifest-deps.ts';
import { manualClock, type ManualClock } from '../../support/manual-clock.ts';

/** A store to which no heartbeat gets through: an object of a lease is written once and never again. */
class DeafStore extends MemoryObjectStore {
  readonly #written = new Set<string>();

  override async put(request: PutRequest): Promise<{ etag: string }> {
    if (request.key.includes('/intents/')) {
      if (this.#written.has(request.key)) throw new SeekfsError('store_unavailable', 'no');
      this.#written.add(request.key);
    }
    return super.put(request);
  }
}

function emptyFile(path: string): FileEntry {
  return {
    path,
    sizeBytes: 0,
    hash: undefined,
    storage: { key: fileKey('dev', path), etag: '"e"', sse: undefined, off: 0 },
    pages: [],
    granuleCrcs: undefined,
    modifiedAtMs: undefined,
    extra: undefined,
  };
}

let clock: ManualClock;
let store: DeafStore;
let deps: PutDeps;

beforeEach(() => {
  clock = manualClock();
  store = new DeafStore({ clock });
  deps = { ...manifestDeps(store), clock };
});

test('a lease that could not be renewed for half of its time is not relied on any more', async () => {
  const lease = (await Lease.open(deps, { key: 'namespaces/dev/intents/x', condition: { kind: 'absent' } }))!;
  clock.advance(LEASE_MS / 2);
  expect(() => lease.assertLive()).not.toThrow();
  clock.advance(1);
  expect(() => lease.assertLive()).toThrow(expect.objectContaining({ code: 'version_conflict' }) as Error);
  await lease.close();
});

const refused = expect.objectContaining({ code: 'version_conflict' }) as Error;

test('a lease is not relied on any more where the machine slept', async () => {
  const lease = (await Lease.open(deps, { key: 'namespaces/dev/intents/x', condition: { kind: 'absent' } }))!;
  for (const byMs of [3_600_000, -7_200_000]) {
    clock.set(byMs);
    expect(() => lease.assertLive()).not.toThrow();
  }
  clock.suspend(LEASE_MS / 2 + 1);
  expect(() => lease.assertLive()).toThrow(refused);
  await lease.close();
});

test.each(['no heartbeat got through', 'the machine slept'])(
  'a lease in whose time %s is not relied on again after a renewal',
  async (what) => {
    const key = 'namespaces/dev/intents/x';
    const hearing = new MemoryObjectStore({ clock });
    const lease = (await Lease.open({ ...deps, store: hearing }, { key, condition: { kind: 'absent' } }))!;
    const put = hearing.put.bind(hearing);
    if (what === 'the machine slept') clock.suspend(LEASE_MS);
    else {
      hearing.put = () => Promise.reject(new SeekfsError('store_unavailable', 'no'));
      for (let minute = 0; minute < 15; minute += 1) {
        clock.advance(60_000);
        while (clock.sleeping === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      hearing.put = put;
    }
    const before = (await hearing.head({ key })).modifiedAtMs;
    clock.advance(60_000);
    while ((await hearing.head({ key })).modifiedAtMs === before) await new Promise((resolve) => setImmediate(resolve));
    while (clock.sleeping === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(() => lease.assertLive()).toThrow(refused);
    await lease.close();
  },
);

test('a lease is renewed as long as it is held, and others see it', async () => {
  const key = 'namespaces/dev/intents/x';
  const hearing = new MemoryObjectStore({ clock });
  const lease = (await Lease.open({ ...deps, store: hearing }, { key, condition: { kind: 'absent' } }))!;
  const openedAtMs = clock.nowMs();
  while (clock.nowMs() - openedAtMs < 2 * LEASE_MS) {
    const before = (await hearing.head({ key })).modifiedAtMs;
    clock.advance(60_000);
    // The put is on its way; it asks for nothing that takes time.
    while ((await hearing.head({ key })).modifiedAtMs === before) await new Promise((resolve) => setImmediate(resolve));
    while (clock.sleeping === 0) await new Promise((resolve) => setImmediate(resolve));
    lease.assertLive();
  }
  await lease.close();
  expect(clock.sleeping).toBe(0);
  expect(await listKeys(hearing, key)).toEqual([]);
});

test('a publisher whose lease may count as dead commits nothing', async () => {
  const plan = (): ManifestEdit => {
    clock.advance(LEASE_MS / 2 + 1);
    return { upserts: [emptyFile('a')], removals: [] };
  };
  await expect(publish(deps, { ns: 'dev', plan })).rejects.toMatchObject({ code: 'version_conflict' });
  expect(await listKeys(store, 'namespaces/dev/')).toEqual([]);
});

test('a gc whose mark may count as dead deletes nothing', async () => {
  await publish(deps, { ns: 'dev', plan: () => ({ upserts: [emptyFile('a')], removals: [] }) });
  await publish(deps, { ns: 'dev', plan: () => ({ upserts: [emptyFile('b')], removals: [] }) });
  clock.advance(48 * 3_600_000);
  const list = store.list.bind(store);
  // The listing of the objects takes longer than anybody trusts the mark.
  store.list = (request) => {
    if (request.prefix.endsWith('/files/')) clock.advance(LEASE_MS / 2 + 1);
    return list(request);
  };
  const gc = collectRemote(deps, { ns: 'dev', keep: 1, dryRun: false });
  await expect(gc).rejects.toMatchObject({ code: 'version_conflict' });
  const left = [headKey('dev'), manifestKey('dev', 1), manifestKey('dev', 2)];
  expect((await listKeys(store, 'namespaces/dev/')).filter((key) => left.includes(key))).toEqual(left);
  expect(await listKeys(store, gcMarkKey('dev'))).toEqual([]);
});
