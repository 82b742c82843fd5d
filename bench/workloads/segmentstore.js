// (j) The segmentstore by itself, against bare calls of node:fs for the same bytes: same sizes, same number at once, same
// file, turn and turn about in one process; and how long it takes to open and to rebuild large ones.
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, read, readdirSync, readSync, rmSync, write } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { seededRandom } from '../harness/data.js';
import { alternate, ratioOf } from '../harness/pairs.js';
import {
  BLOCK_BYTES,
  crc32c,
  fillPage,
  openStore,
  recordingDisk,
  verify,
  writeSparseLog,
} from '../harness/segments.js';
import { median, summary } from '../harness/statistics.js';

export const title = 'the segmentstore against bare fs.read and fs.write';
/** That set its targets. */
export const issue = 3;

const MIB = 2 ** 20;
const PAGE_BYTES = 8 * MIB;
const PAGES = 32;
const BYTES = PAGES * PAGE_BYTES;
const OPEN_READER = fileURLToPath(new URL('../harness/open-reader.js', import.meta.url));
const readAt = promisify(read);
const writeAt = promisify(write);

async function timed(work) {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

/** `atOnce` takers of numbers below `count`, until they are used up. */
async function inParallel(atOnce, count, work) {
  let next = 0;
  const taker = async (taking) => {
    while (next < count) await work(next++, taking);
  };
  await Promise.all(Array.from({ length: atOnce }, (_, taking) => taker(taking)));
}

/** Forgets what the kernel has of the files. */
function dropPages(paths) {
  for (const path of paths) {
    execFileSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']);
  }
}

const segmentsIn = (directory) =>
  readdirSync(join(directory, 'segments')).map((name) => join(directory, 'segments', name));

export async function measure({ directory, pairs, row }) {
  const path = join(directory, 'l2');
  const pages = await measurePut({ directory, path, pairs, row });
  await measureReads({ path, pages, pairs, row });
  rmSync(path, { recursive: true });
  await measureRebuild({ directory, pairs, row });
  await measureOpen({ directory, pairs, row });
}

function ratioRow(row, name, measured, options) {
  row({
    name,
    unit: 'ratio',
    ...ratioOf({ a: measured.b, b: measured.a }, (elapsedMs) => elapsedMs),
    ...options,
    detail: { elapsedMs: median(measured.a), bareMs: median(measured.b), ...options.detail },
  });
}

async function measurePut({ directory, path, pairs, row }) {
  const filler = await openStore(join(directory, 'none'), { memoryBytes: 2 * BYTES });
  const filled = [];
  for (let pageId = 0; pageId < PAGES; pageId += 1) {
    filled.push(await fillPage(filler.memory, 'big.bin', pageId, PAGE_BYTES));
  }
  const runs = filled.map(verify);
  const put = async () => {
    rmSync(path, { recursive: true, force: true });
    const { store } = await openStore(path);
    const elapsedMs = await timed(async () => {
      for (const run of runs) store.insert(run);
      await store.drain();
    });
    await store.close();
    return elapsedMs;
  };
  const putAndVerify = async () => {
    rmSync(path, { recursive: true, force: true });
    const { store } = await openStore(path);
    const elapsedMs = await timed(async () => {
      for (const page of filled) store.insert(verify(page));
      await store.drain();
    });
    await store.close();
    return elapsedMs;
  };
  const whole = Buffer.concat(filled[0].slabs.map(({ bytes }) => bytes));
  const bare = async () => {
    const name = join(directory, 'bare.bin');
    rmSync(name, { force: true });
    const file = openSync(name, 'wx');
    const elapsedMs = await timed(async () => {
      for (let at = 0; at < BYTES; at += PAGE_BYTES) await writeAt(file, whole, 0, PAGE_BYTES, at);
    });
    closeSync(file);
    rmSync(name);
    return elapsedMs;
  };
  const target = { atLeast: 0.6 };
  ratioRow(row, 'put of verified pages of 8 MiB / fs.write', await alternate({ pairs }, put, bare), { target });
  ratioRow(row, 'the same, verification of the pages included', await alternate({ pairs }, putAndVerify, bare), {
    better: 'more',
  });
  return filled.map(({ page }) => page);
}

async function measureReads({ path, pages, pairs, row }) {
  const { store } = await openStore(path);
  const segments = segmentsIn(path);
  const file = openSync(segments[0], 'r');
  const sequential = (bytes, atOnce) => () =>
    timed(() =>
      inParallel(atOnce, BYTES / bytes, async (number) => {
        const page = pages[Math.floor((number * bytes) / PAGE_BYTES)];
        const slabs = await store.read(page, { off: (number * bytes) % PAGE_BYTES, len: bytes }, {});
        for (const slab of slabs) slab.release();
      }),
    );
  const bareSequential = (bytes, atOnce) => () => {
    const buffers = Array.from({ length: atOnce }, () => Buffer.alloc(bytes));
    return timed(() =>
      inParallel(atOnce, BYTES / bytes, (number, taking) => readAt(file, buffers[taking], 0, bytes, number * bytes)),
    );
  };
  for (const [bytes, atOnce] of [
    [128 * 1024, 1],
    [MIB, 1],
    [2 * MIB, 2],
  ]) {
    const measured = await alternate({ pairs }, sequential(bytes, atOnce), bareSequential(bytes, atOnce));
    ratioRow(row, `verified sequential reads of ${bytes / 1024} KiB, ${atOnce} at once / fs.read`, measured, {
      target: { atLeast: 0.7 },
      detail: { mibPerSecond: BYTES / MIB / (median(measured.a) / 1000) },
    });
  }
  // What the others can reach: one thread computes checksums, and nothing else.
  const bytesOfBlocks = Buffer.alloc(MIB, 7);
  const checksums = () =>
    timed(async () => {
      for (let at = 0; at < BYTES; at += BLOCK_BYTES) {
        crc32c(bytesOfBlocks.subarray(at % MIB, (at % MIB) + BLOCK_BYTES));
      }
    });
  const bound = await alternate({ pairs }, checksums, bareSequential(2 * MIB, 2));
  ratioRow(row, 'CRC32C alone of as many bytes, in blocks of 16 KiB / fs.read of 2048 KiB, 2 at once', bound, {
    better: 'more',
    detail: { mibPerSecond: BYTES / MIB / (median(bound.a) / 1000) },
  });
  const cold = (run) => () => {
    dropPages(segments);
    return run();
  };
  const fromDisk = await alternate(
    { pairs, warmUps: 0 },
    cold(sequential(2 * MIB, 2)),
    cold(bareSequential(2 * MIB, 2)),
  );
  ratioRow(row, 'the same of 2048 KiB, not in the page cache', fromDisk, {
    target: { atLeast: 0.7 },
    detail: { mibPerSecond: BYTES / MIB / (median(fromDisk.a) / 1000) },
  });

  const READS = 8192;
  const random = seededRandom(5);
  const offsets = Array.from({ length: READS }, () => Math.floor(random() * (BYTES / 4096)) * 4096);
  const bareRandom = (atOnce) => () => {
    const buffers = Array.from({ length: atOnce }, () => Buffer.alloc(4096));
    return timed(() =>
      inParallel(atOnce, READS, (number, taking) => readAt(file, buffers[taking], 0, 4096, offsets[number])),
    );
  };
  for (const atOnce of [1, 16]) {
    const ours = () =>
      timed(() =>
        inParallel(atOnce, READS, async (number) => {
          const off = offsets[number];
          const slabs = await store.read(pages[Math.floor(off / PAGE_BYTES)], { off: off % PAGE_BYTES, len: 4096 }, {});
          for (const slab of slabs) slab.release();
        }),
      );
    const measured = await alternate({ pairs }, ours, bareRandom(atOnce));
    ratioRow(row, `verified random reads of 4 KiB, ${atOnce} at once / fs.read`, measured, {
      target: { atLeast: 0.6 },
    });
  }
  // What they can reach: the least that a verified read does, without anything around it.
  const block = Buffer.alloc(BLOCK_BYTES);
  const blocks = () =>
    timed(async () => {
      for (const off of offsets) {
        readSync(file, block, 0, BLOCK_BYTES, off - (off % BLOCK_BYTES));
        crc32c(block);
      }
    });
  const least = await alternate({ pairs }, blocks, bareRandom(16));
  ratioRow(row, 'readSync and CRC32C of as many check blocks alone / fs.read of 4 KiB, 16 at once', least, {
    better: 'more',
  });
  closeSync(file);
  await store.close();
}

/** Without indexes and footers: every head of every record is read, verified and indexed. */
async function measureRebuild({ directory, pairs, row }) {
  const path = join(directory, 'rebuild');
  writeSparseLog(path, { records: 16_384, pageBytes: PAGE_BYTES, filePages: 1024, footers: false });
  const segments = segmentsIn(path);
  const { disk, reads } = recordingDisk();
  await (await openStore(path, { disk })).store.close();
  const byFile = groupByPath(reads);
  const rebuild = () => {
    // The one before has written its index.
    for (const name of readdirSync(path)) if (name.startsWith('index.')) rmSync(join(path, name));
    dropPages(segments);
    return timed(async () => (await openStore(path)).store.close());
  };
  const bare = () => {
    dropPages(segments);
    return timed(() =>
      inParallel(8, byFile.length, async (number) => {
        const file = openSync(byFile[number][0].path, 'r');
        for (const { position, bytes } of byFile[number])
          await readAt(file, Buffer.allocUnsafe(bytes), 0, bytes, position);
        closeSync(file);
      }),
    );
  };
  const measured = await alternate({ pairs, warmUps: 0 }, rebuild, bare);
  ratioRow(
    row,
    'rebuild of the index from 16,384 record heads, not in the page cache / fs.read of the same bytes',
    measured,
    {
      target: { atLeast: 0.7 },
      detail: { reads: reads.length, bytes: reads.reduce((sum, { bytes }) => sum + bytes, 0) },
    },
  );
  rmSync(path, { recursive: true });
}

function groupByPath(reads) {
  const groups = new Map();
  for (const one of reads) groups.set(one.path, [...(groups.get(one.path) ?? []), one]);
  return [...groups.values()];
}

async function measureOpen({ directory, pairs, row }) {
  for (const { name, atMostMs, ...log } of [
    { name: '131,072 pages of 8 MiB', atMostMs: 300, records: 131_072, pageBytes: PAGE_BYTES, filePages: 1024 },
    { name: '1,000,000 pages in 100,000 files', atMostMs: 1500, records: 1_000_000, pageBytes: 65_536, filePages: 10 },
    { name: '1,000,000 pages in 1,000,000 files', atMostMs: 1500, records: 1_000_000, pageBytes: 64, filePages: 1 },
  ]) {
    const path = join(directory, 'open');
    writeSparseLog(path, { ...log, heads: false });
    const { store, memory } = await openStore(path);
    const { page, slabs } = await fillPage(memory, 'real.bin', 7, MIB);
    const run = verify({ page, slabs });
    store.insert(run);
    run.release();
    await store.drain();
    await store.maintenance.clean();
    await store.close();
    const question = { directory: path, path: page.path, pageId: page.pageId, pageBytes: page.len, crc: page.crc32c };
    // Without index.bin it is the footers of the segments that are read: the more files, the longer they are.
    for (const how of log.filePages === 1 ? ['', ', without index.bin'] : ['']) {
      if (how !== '') rmSync(join(path, 'index.bin'));
      const samples = Array.from({ length: pairs }, () =>
        JSON.parse(
          execFileSync(process.execPath, ['--expose-gc', OPEN_READER, JSON.stringify(question)], { encoding: 'utf8' }),
        ),
      );
      const elapsedMs = samples.map((sample) => sample.elapsedMs);
      row({
        name: `open ${name}${how}, to the first verified read`,
        unit: 'ms',
        ...summary(elapsedMs),
        target: { atMost: atMostMs },
      });
      const bytes = samples.map((sample) => sample.bytes / log.records);
      const target = { atMost: 200 };
      row({ name: `memory of opening ${name}${how}, a record`, unit: 'bytes', ...summary(bytes), target });
    }
    rmSync(path, { recursive: true });
  }
}
