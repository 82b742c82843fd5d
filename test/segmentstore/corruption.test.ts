// Damage of every kind to segment files: no wrong byte is served, nothing crashes, and only the record that was hit is
// lost. Small pages, so that every single byte can be tried; the checksums see no sizes.
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { GRANULE_BYTES, type GranuleSpan } from '../../src/lib/page/page.ts';
import { recordBytes, type RecordEntry } from '../../src/lib/segment/format.ts';
import { readFooter, readSegmentHeader, scanRecords } from '../../src/lib/segment/scan.ts';
import { CrashDisk } from '../support/crash-disk.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { openTestStore, testPage, type TestPage, type TestStore } from '../support/segment-store.ts';

const CACHE = '/cache';
const SEGMENTS = '/cache/segments';

interface Written {
  readonly disk: CrashDisk;
  readonly path: string;
  readonly bytes: Buffer;
  /** Of the pages, in order. */
  readonly records: readonly RecordEntry[];
  /** Offset of the footer; the end of the file where it has none. */
  readonly end: number;
}

type Ending = 'sealed' | 'open';

const SMALL = [300, 41, 512, 77].map((len, pageId) => testPage({ pageId, len }));

/** One segment with the pages: sealed, or as a killed writer leaves it. */
async function segmentOf(pages: readonly TestPage[], ending: Ending): Promise<Written> {
  const disk = new CrashDisk();
  await disk.makeDirectory(CACHE);
  const store = await openTestStore(CACHE, { disk });
  for (const page of pages) await store.put(page);
  if (ending === 'open') disk.die();
  await store.store.close();
  const left = disk.reopen(0, 'kill');
  const [name] = await left.list(SEGMENTS);
  const path = `${SEGMENTS}/${name}`;
  const bytes = left.bytesOf(path);
  const file = await left.open(path, 'read');
  const header = (await readSegmentHeader(file))!;
  const segment = { id: header.id, sizeBytes: bytes.length };
  const { entries } = await scanRecords(file, { ...segment, from: header.headerBytes, resync: false });
  const footer = await readFooter(file, segment);
  await file.close();
  expect(entries).toHaveLength(pages.length);
  expect(footer === undefined).toBe(ending === 'open');
  return { disk: left, path, bytes, records: entries, end: footer?.offset ?? bytes.length };
}

/** The file with `bytes` in place of its own, opened by a process that knows nothing; which pages are hits. */
async function hitsAfter(written: Written, bytes: Uint8Array, pages: readonly TestPage[]): Promise<boolean[]> {
  written.disk.plant(written.path, bytes);
  return hitsOf(await openTestStore(CACHE, { disk: written.disk }), pages);
}

async function hitsOf(store: TestStore, pages: readonly TestPage[]): Promise<boolean[]> {
  const hits: boolean[] = [];
  // `get` fails on a wrong byte.
  for (const page of pages) hits.push((await store.get(page)) !== undefined);
  await store.store.close();
  expect(store.memory.inUseBytes).toBe(0);
  return hits;
}

function flipped(bytes: Buffer, at: number, mask: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= mask;
  return copy;
}

function expected(written: Written, at: number): boolean[] {
  return written.records.map((record) => at < record.offset || at >= record.offset + recordBytes(record));
}

describe.each<Ending>(['sealed', 'open'])('of a segment that is %s', (ending) => {
  test('any flipped byte costs the record that it is in, and no other', async () => {
    const written = await segmentOf(SMALL, ending);
    for (let at = 0; at < written.bytes.length; at += 1) {
      for (const mask of [0x01, 0xff]) {
        const hits = await hitsAfter(written, flipped(written.bytes, at, mask), SMALL);
        expect(hits, `byte ${at} with ${mask}`).toEqual(expected(written, at));
      }
    }
    expect(written.disk.openFiles).toBe(0);
  });

  test('a flip in a large record costs the reads that touch its check block, or all of the record in its head', async () => {
    const pages = [testPage({ pageId: 0, len: 40_000 }), testPage({ pageId: 1, len: 50 })];
    const written = await segmentOf(pages, ending);
    const { offset, headBytes } = written.records[0]!;
    const ranges = [0, 1, 2].map((block) => ({ off: block * 16_384 + 7, len: 100 }));
    for (let at = offset; at < offset + headBytes + 40_000; at += at < offset + headBytes ? 1 : 611) {
      written.disk.plant(written.path, flipped(written.bytes, at, 0x10));
      const store = await openTestStore(CACHE, { disk: written.disk });
      const hitBlock = Math.floor((at - offset - headBytes) / 16_384);
      // The block that is hit last: what finds damage drops the record.
      const order = [0, 1, 2].sort((a, b) => Number(a === hitBlock) - Number(b === hitBlock));
      for (const block of order) {
        const bytes = await store.get(pages[0]!, ranges[block]);
        expect(bytes !== undefined, `byte ${at}, block ${block}`).toBe(at >= offset + headBytes && block !== hitBlock);
      }
      expect(await store.get(pages[0]!)).toBeUndefined();
      expect(await store.get(pages[1]!)).toBeDefined();
      expect(store.metrics.get('seekfs_crc_failures_total') > 0).toBe(at >= offset + headBytes || ending === 'sealed');
      await store.put(pages[0]!);
      expect(await store.get(pages[0]!)).toBeDefined();
      await store.store.close();
      for (const name of await written.disk.list(SEGMENTS)) {
        if (!written.path.endsWith(name)) await written.disk.remove(`${SEGMENTS}/${name}`);
      }
    }
  });

  test('a file cut at any length keeps the records before the cut', async () => {
    const written = await segmentOf(SMALL, ending);
    for (let length = 0; length < written.bytes.length; length += 1) {
      const hits = await hitsAfter(written, written.bytes.subarray(0, length), SMALL);
      const whole = written.records.map((record) => record.offset + recordBytes(record) <= length);
      expect(hits, `cut at ${length}`).toEqual(whole);
    }
  });

  test('two records that changed places are both lost, and the others are not', async () => {
    const pages = [300, 300, 300].map((len, pageId) => testPage({ pageId, len }));
    const written = await segmentOf(pages, ending);
    const [first, second] = written.records as [RecordEntry, RecordEntry];
    const swapped = Buffer.from(written.bytes);
    written.bytes.copy(swapped, first.offset, second.offset, second.offset + recordBytes(second));
    written.bytes.copy(swapped, second.offset, first.offset, first.offset + recordBytes(first));
    expect(swapped.equals(written.bytes)).toBe(false);
    expect(await hitsAfter(written, swapped, pages)).toEqual([false, false, true]);
  });

  test('two payloads that changed places are both lost', async () => {
    const pages = [300, 300, 300].map((len, pageId) => testPage({ pageId, len }));
    const written = await segmentOf(pages, ending);
    const [first, second] = written.records as [RecordEntry, RecordEntry];
    const swapped = Buffer.from(written.bytes);
    const payloadAt = (record: RecordEntry): number => record.offset + record.headBytes;
    written.bytes.copy(swapped, payloadAt(first), payloadAt(second), payloadAt(second) + 300);
    written.bytes.copy(swapped, payloadAt(second), payloadAt(first), payloadAt(first) + 300);
    expect(await hitsAfter(written, swapped, pages)).toEqual([false, false, true]);
  });

  test('a record that is there twice is served once', async () => {
    const written = await segmentOf(SMALL, ending);
    const { bytes, records, end } = written;
    const copy = bytes.subarray(records[1]!.offset, records[1]!.offset + recordBytes(records[1]!));
    const appended = Buffer.concat([bytes.subarray(0, end), copy, bytes.subarray(end)]);
    expect(await hitsAfter(written, appended, SMALL)).toEqual([true, true, true, true]);
    // In place of the record after it, which is lost then.
    const over = Buffer.from(bytes);
    copy.copy(over, records[2]!.offset);
    expect(await hitsAfter(written, over, SMALL)).toEqual([true, true, false, true]);
  });

  test('a segment under the name of another one serves nothing', async () => {
    const written = await segmentOf(SMALL, ending);
    const name = ending === 'sealed' ? `${'ab'.repeat(16)}.seg` : `${'ab'.repeat(16)}-1000.open`;
    await written.disk.rename(written.path, `${SEGMENTS}/${name}`);
    expect(await hitsOf(await openTestStore(CACHE, { disk: written.disk }), SMALL)).toEqual(SMALL.map(() => false));
  });

  test('a copy of the segment under a foreign name changes nothing', async () => {
    const written = await segmentOf(SMALL, ending);
    written.disk.plant(`${SEGMENTS}/${'cd'.repeat(16)}.seg`, written.bytes);
    written.disk.plant(`${SEGMENTS}/copy of ${written.path.split('/').at(-1)}`, written.bytes);
    expect(await hitsAfter(written, written.bytes, SMALL)).toEqual(SMALL.map(() => true));
  });

  test('random damage of any shape serves no wrong byte', async () => {
    const written = await segmentOf(SMALL, ending);
    for (let seed = 0; seed < 300; seed += 1) {
      const random = seededRandom(seed);
      const bytes = Buffer.from(written.bytes);
      const at = Math.floor(random.unit() * bytes.length);
      const length = Math.floor(random.unit() * (bytes.length - at));
      const from = Math.floor(random.unit() * (bytes.length - length));
      if (seed % 3 === 0) bytes.fill(0, at, at + length);
      else if (seed % 3 === 1) bytes.set(random.bytes(length), at);
      else written.bytes.copy(bytes, at, from, from + length);
      await hitsAfter(written, bytes, SMALL);
    }
    expect(written.disk.openFiles).toBe(0);
  });
});

describe('foreign files in the directory', () => {
  const foreign: Readonly<Record<string, Buffer>> = {
    'README.txt': Buffer.from('not ours'),
    '.seg': Buffer.alloc(100),
    'zz.seg': Buffer.alloc(0),
    [`${'00'.repeat(16)}.seg`]: Buffer.alloc(0),
    [`${'11'.repeat(16)}.seg`]: Buffer.alloc(70_000, 'SKRC'),
    [`${'22'.repeat(16)}.seg`]: Buffer.from(seededRandom(7).bytes(5000)),
    [`${'33'.repeat(16)}-99.open`]: Buffer.from('SEEKFSEG'),
    [`${'44'.repeat(16)}-9007199254740993.open`]: Buffer.alloc(10),
    [`${'AA'.repeat(16)}.seg`]: Buffer.alloc(10),
    'index.sqlite': Buffer.from('SQLite format 3\0 or not'),
  };

  test('are left alone and cost nothing but their reading', async () => {
    const written = await segmentOf(SMALL, 'sealed');
    for (const [name, bytes] of Object.entries(foreign)) written.disk.plant(`${SEGMENTS}/${name}`, bytes);
    await written.disk.makeDirectory(`${SEGMENTS}/${'55'.repeat(16)}.seg`);
    await written.disk.makeDirectory(`${SEGMENTS}/lost+found`);
    expect(await hitsAfter(written, written.bytes, SMALL)).toEqual([true, true, true, true]);
    const store = await openTestStore(CACHE, { disk: written.disk });
    const fresh = testPage({ path: 'fresh.bin' });
    await store.put(fresh);
    expect(await hitsOf(store, [fresh, ...SMALL])).toEqual([true, true, true, true, true]);
    for (const [name, bytes] of Object.entries(foreign)) {
      expect(written.disk.bytesOf(`${SEGMENTS}/${name}`).equals(bytes)).toBe(true);
    }
    expect(written.disk.openFiles).toBe(0);
  });

  test('of every kind that a file system knows are passed over', async () => {
    const directory = await temporaryDirectory();
    const page = testPage();
    const first = await openTestStore(directory);
    await first.put(page);
    await first.store.close();
    const at = (digits: string): string => join(directory, 'segments', `${digits.repeat(16)}.seg`);
    execFileSync('mkfifo', [at('66')]);
    mkdirSync(at('77'));
    symlinkSync('/dev/zero', at('88'));
    symlinkSync('nowhere', at('99'));
    expect(await hitsOf(await openTestStore(directory), [page])).toEqual([true]);
  });
});

describe('compaction over damage', () => {
  /** Pages (or parts of them) in a segment each, by a store of their own so that nobody knows of the others. */
  async function segmentsOf(writes: readonly { page: TestPage; span?: GranuleSpan }[]): Promise<CrashDisk> {
    const disk = new CrashDisk();
    await disk.makeDirectory(SEGMENTS);
    for (const { page, span } of writes) {
      const store = await openTestStore('/other', { disk });
      await store.put(page, span);
      await store.store.close();
      for (const name of await disk.list('/other/segments')) {
        await disk.rename(`/other/segments/${name}`, `${SEGMENTS}/${name}`);
      }
    }
    return disk;
  }

  /** Flips a bit in the payload of the lone record of a segment. */
  function damagePayload(disk: CrashDisk, name: string): void {
    const bytes = disk.bytesOf(`${SEGMENTS}/${name}`);
    // Header and head take less than a kilobyte, the footer less than two hundred bytes.
    bytes[Math.floor(bytes.length / 2)]! ^= 1;
    disk.plant(`${SEGMENTS}/${name}`, bytes);
  }

  async function compact(disk: CrashDisk): Promise<void> {
    const store = await openTestStore(CACHE, { disk });
    await store.store.maintenance.clean();
    await store.store.close();
  }

  test('keeps the sound one of two copies, whichever it is', async () => {
    const page = testPage({ len: 30_000 });
    for (const damaged of [0, 1]) {
      const disk = await segmentsOf([{ page }, { page }]);
      const names = await disk.list(SEGMENTS);
      expect(names).toHaveLength(2);
      damagePayload(disk, names[damaged]!);
      await compact(disk);
      expect(await hitsOf(await openTestStore(CACHE, { disk }), [page])).toEqual([true]);
    }
  });

  test('keeps the granules beside a damaged one', async () => {
    const page = testPage({ len: 3 * GRANULE_BYTES });
    // Six more, so that there are enough short segments for a merge.
    const small = [4, 5, 6, 7, 8, 9].map((pageId) => ({ page: testPage({ pageId, len: 20 }) }));
    const disk = await segmentsOf([...[0, 1, 2].map((first) => ({ page, span: { first, count: 1 } })), ...small]);
    const large = (await disk.list(SEGMENTS)).filter(
      (name) => disk.bytesOf(`${SEGMENTS}/${name}`).length > GRANULE_BYTES,
    );
    expect(large).toHaveLength(3);
    damagePayload(disk, large[1]!);
    await compact(disk);
    expect((await disk.list(SEGMENTS)).length).toBeLessThan(9);
    const store = await openTestStore(CACHE, { disk });
    let held = 0;
    for (const granule of [0, 1, 2]) {
      if (await store.get(page, { off: granule * GRANULE_BYTES, len: 100 })) held += 1;
    }
    expect(held).toBe(2);
    await store.store.close();
  });
});
