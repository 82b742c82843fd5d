import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../../src/lib/base/clock.ts';
import { silentLogger } from '../../../src/lib/base/log.ts';
import { Metrics } from '../../../src/lib/base/metrics.ts';
import { MIB } from '../../../src/lib/base/units.ts';
import { CapacityGuard } from '../../../src/lib/cache/capacity.ts';
import { RecordIndex } from '../../../src/lib/cache/record-index.ts';
import { SegmentSet } from '../../../src/lib/cache/segment-set.ts';
import { nodeDisk } from '../../../src/lib/disk/node-disk.ts';
import { formatSegmentName } from '../../../src/lib/segment/names.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const RECORD = { group: Buffer.from('g'), item: Buffer.from('i'), payloadBytes: 1000 };
/** Of 2 MiB what whole records like that take, with the frame of a segment. */
const SEGMENT_BYTES = 2_097_132;

const sets: SegmentSet[] = [];

afterEach(async () => {
  for (const set of sets.splice(0)) await set.close();
});

/** A guard of 64 MiB, and so of segments of 2, on a disk with so much space, beside the open segment of another writer. */
async function guard(options: { freeBytes: number; reservedBytes: number }): Promise<CapacityGuard> {
  const directoryPath = await temporaryDirectory('seekfs-capacity');
  const disk = {
    ...nodeDisk,
    space: () => Promise.resolve({ freeBytes: options.freeBytes, totalBytes: 1000 * MIB }),
  };
  if (options.reservedBytes > 0) {
    const name = formatSegmentName({ kind: 'open', idHex: '01'.repeat(16), reservedBytes: options.reservedBytes });
    await writeFile(join(directoryPath, name), '');
  }
  const set = new SegmentSet({
    disk,
    directoryPath,
    index: new RecordIndex(),
    clock: systemClock,
    metrics: new Metrics(),
    log: silentLogger,
  });
  sets.push(set);
  return new CapacityGuard({ disk, set, capacityBytes: 64 * MIB, freeReserveBytes: 100 * MIB });
}

test('the syncs of a new directory keep nobody from reserving, and are over when the directory is said to last', async () => {
  let sync = (): void => undefined;
  const syncing = new Promise<void>((resolve) => (sync = resolve));
  const disk = { ...nodeDisk, syncDirectory: () => syncing };
  const directoryPath = join(await temporaryDirectory('seekfs-capacity'), 'segments');
  const parts = { disk, directoryPath, clock: systemClock, metrics: new Metrics(), log: silentLogger };
  const set = new SegmentSet({ ...parts, index: new RecordIndex() });
  sets.push(set);
  const fresh = new CapacityGuard({ disk, set, capacityBytes: 64 * MIB, freeReserveBytes: 0 });
  expect(await fresh.reserve(RECORD, 'insert')).toBe(SEGMENT_BYTES);
  let lasts = false;
  const lasting = fresh.directoryLasts().then(() => (lasts = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(lasts).toBe(false);
  sync();
  await lasting;
});

test('what others have reserved counts, whether they wrote it or not', async () => {
  const beside = await guard({ freeBytes: 900 * MIB, reservedBytes: 62 * MIB });
  expect(await beside.reserve(RECORD, 'insert')).toBe(SEGMENT_BYTES);
  const full = await guard({ freeBytes: 900 * MIB, reservedBytes: 64 * MIB });
  expect(await full.reserve(RECORD, 'insert')).toBeUndefined();
  expect(full.full).toBe(true);
  // What eviction writes again may pass the bound by one segment, until it has removed another.
  expect(await full.reserve(RECORD, 'rewrite')).toBe(SEGMENT_BYTES);
});

test('of two writers that reserved at once it is seen that the bound is passed', async () => {
  expect(await (await guard({ freeBytes: 900 * MIB, reservedBytes: 64 * MIB })).holds('insert')).toBe(true);
  const over = await guard({ freeBytes: 900 * MIB, reservedBytes: 65 * MIB });
  expect([await over.holds('insert'), await over.holds('rewrite')]).toEqual([false, true]);
  const far = await guard({ freeBytes: 900 * MIB, reservedBytes: 67 * MIB });
  expect(await far.holds('rewrite')).toBe(false);
});

test('the space that is left to others bounds it too, less what open segments will still take', async () => {
  const small = await guard({ freeBytes: 103 * MIB, reservedBytes: 0 });
  expect(await small.reserve(RECORD, 'insert')).toBe(SEGMENT_BYTES);
  const none = await guard({ freeBytes: 100 * MIB, reservedBytes: 0 });
  expect(await none.reserve(RECORD, 'insert')).toBeUndefined();
  const promised = await guard({ freeBytes: 103 * MIB, reservedBytes: 3 * MIB });
  expect(await promised.reserve(RECORD, 'insert')).toBeUndefined();
  // As two writers find that reserved at once.
  expect(await (await guard({ freeBytes: 103 * MIB, reservedBytes: 3 * MIB })).holds('insert')).toBe(true);
  expect(await (await guard({ freeBytes: 103 * MIB, reservedBytes: 4 * MIB })).holds('insert')).toBe(false);
});
