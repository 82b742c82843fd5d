// The check finds every flipped byte and changes nothing; the repair after it leaves a cache in which the check finds
// nothing, and every page that was not hit.
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/lib/base/clock.ts';
import { checkSegmentStore, type Finding } from '../../src/lib/cache/check.ts';
import { recordBytes } from '../../src/lib/segment/format.ts';
import { readFooter, readSegmentHeader, scanRecords } from '../../src/lib/segment/scan.ts';
import { CrashDisk } from '../support/crash-disk.ts';
import { openTestStore, testPage } from '../support/segment-store.ts';
import { TestProcesses } from '../support/test-processes.ts';

const CACHE = '/cache';
const SEGMENTS = '/cache/segments';
const PAGES = [300, 41, 512, 77].map((len, pageId) => testPage({ pageId, len }));

async function problems(disk: CrashDisk, deep: boolean): Promise<Finding[]> {
  const before = disk.operations;
  const { findings } = await checkSegmentStore({ disk, directoryPath: CACHE, deep });
  expect(disk.operations, 'a check changes nothing').toBe(before);
  expect(disk.openFiles).toBe(0);
  return findings.filter(({ severity }) => severity === 'problem');
}

interface Written {
  readonly disk: CrashDisk;
  readonly path: string;
  readonly bytes: Buffer;
  readonly records: readonly { readonly start: number; readonly payload: number; readonly end: number }[];
  readonly end: number;
}

const processes = new TestProcesses();

async function written(ending: 'sealed' | 'open'): Promise<Written> {
  const disk = new CrashDisk();
  await disk.makeDirectory(CACHE);
  const store = await openTestStore(CACHE, { disk, processes: processes.begin() });
  for (const page of PAGES) await store.put(page);
  if (ending === 'open') disk.die();
  await store.store.close();
  processes.endAll();
  const left = disk.reopen(0, 'kill');
  const [name] = await left.list(SEGMENTS);
  const path = `${SEGMENTS}/${name}`;
  const bytes = left.bytesOf(path);
  const file = await left.open(path, 'read');
  const { id, headerBytes } = (await readSegmentHeader(file))!;
  const scan = await scanRecords(file, { id, sizeBytes: bytes.length, from: headerBytes, resync: false });
  const footer = await readFooter(file, { id, sizeBytes: bytes.length });
  await file.close();
  const records = scan.entries.map((entry) => ({
    start: entry.offset,
    payload: entry.offset + entry.headBytes,
    end: entry.offset + recordBytes(entry),
  }));
  return { disk: left, path, bytes, records, end: footer?.offset ?? bytes.length };
}

/** After so long without a byte the writer of an open segment is taken for dead, even where its header is damaged. */
const LATER_MS = 11 * 60_000;

async function repair(disk: CrashDisk, findings: readonly Finding[]): Promise<void> {
  processes.endAll();
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + LATER_MS };
  const store = await openTestStore(CACHE, { disk, clock, processes: processes.begin() });
  await store.store.maintenance.repair(findings);
  await store.store.close();
}

async function hits(disk: CrashDisk): Promise<boolean[]> {
  const store = await openTestStore(CACHE, { disk });
  const found: boolean[] = [];
  for (const page of PAGES) found.push((await store.get(page)) !== undefined);
  await store.store.close();
  return found;
}

describe.each(['sealed', 'open'] as const)('in a segment that is %s', (ending) => {
  test('every flipped byte is found, the deep check finds those of payloads, and a repair mends them', async () => {
    const start = await written(ending);
    expect(await problems(start.disk, true)).toEqual([]);
    const last = start.records.at(-1)!;
    for (let at = 0; at < start.bytes.length; at += 1) {
      const disk = start.disk.clone();
      const bytes = Buffer.from(start.bytes);
      bytes[at]! ^= 1 << (at % 8);
      disk.plant(start.path, bytes);
      const inPayload = start.records.some(({ payload, end }) => at >= payload && at < end);
      // Without a footer nobody can tell a damaged last record from an append that was cut off.
      const likeTorn = ending === 'open' && at >= last.start && at < last.payload;
      const fast = await problems(disk, false);
      const deep = await problems(disk, true);
      expect(fast.length > 0, `byte ${at}, fast`).toBe(!inPayload && !likeTorn);
      expect(deep.length > 0, `byte ${at}, deep`).toBe(!likeTorn);
      if (at % 9 !== 0) continue;
      await repair(disk, deep);
      expect(await problems(disk, true), `after the repair of byte ${at}`).toEqual([]);
      const kept = start.records.map((record) => at < record.start || at >= record.end);
      expect(await hits(disk), `after the repair of byte ${at}`).toEqual(kept);
    }
  });
});

test('two findings in one segment, and one in each of two, are mended in one repair', async () => {
  const { disk, path, bytes, records } = await written('sealed');
  const store = await openTestStore(CACHE, { disk });
  const more = [5, 6].map((pageId) => testPage({ pageId, len: 900 }));
  for (const page of more) await store.put(page);
  await store.store.close();
  const damaged = Buffer.from(bytes);
  damaged[records[0]!.payload + 3]! ^= 1;
  damaged[records[2]!.start + 3]! ^= 1;
  disk.plant(path, damaged);
  const other = (await disk.list(SEGMENTS)).map((name) => `${SEGMENTS}/${name}`).find((name) => name !== path)!;
  const otherBytes = disk.bytesOf(other);
  otherBytes[otherBytes.length - 30]! ^= 1;
  disk.plant(other, otherBytes);
  const found = await problems(disk, true);
  expect(new Set(found.map(({ kind }) => kind))).toEqual(new Set(['record_payload', 'record_head', 'footer']));
  await repair(disk, found);
  expect(await problems(disk, true)).toEqual([]);
  expect(await hits(disk)).toEqual([false, true, false, true]);
  const after = await openTestStore(CACHE, { disk });
  for (const page of more) expect(await after.get(page)).toBeDefined();
  await after.store.close();
});
