// The segmentstore without the command line around it: opens it, makes verified runs of pages, and lays out logs of many
// records whose payloads are holes in sparse files. Used by the segmentstore workload.
import { createCipheriv } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const GRANULE_BYTES = 128 * 1024;
export const BLOCK_BYTES = 16 * 1024;
const lib = (path) => import(new URL(`../../dist/lib/${path}.js`, import.meta.url));

const { systemClock } = await lib('base/clock');
const { crc32c, loadCrc32c } = await lib('base/crc32c');
const { silentLogger } = await lib('base/log');
const { MemoryGovernor } = await lib('base/memory');
const { Metrics } = await lib('base/metrics');
const { systemRandom } = await lib('base/random');
const { openSegmentStore } = await lib('cache/open-segment-store');
const { encodeItem, FileKeys, itemOf, PAGE_RECORD_KIND } = await lib('cache/page-key');
const { nodeDisk } = await lib('disk/node-disk');
const { verifyRun } = await lib('page/verified');
const format = await lib('segment/format');
const { FooterWriter } = await lib('segment/footer-writer');
const { formatSegmentName } = await lib('segment/names');
await loadCrc32c();

export { crc32c };

/** @returns the store, and the memory governor behind it */
export async function openStore(directory, options = {}) {
  const memory = new MemoryGovernor({ limitBytes: options.memoryBytes ?? 512 * 2 ** 20 });
  const store = await openSegmentStore({
    disk: nodeDisk,
    directoryPath: directory,
    capacityBytes: 2 ** 42,
    freeReserveBytes: 0,
    memory,
    metrics: new Metrics(),
    log: silentLogger,
    clock: systemClock,
    random: systemRandom,
    ...options,
  });
  return { store, memory };
}

/** A page without bytes: the n-th of a file. */
export function pageOf(path, pageId, len, crc = 0) {
  const file = { kind: 'checked', ns: 'bench', path, identity: `sha256:${path}` };
  return { ...file, pageId, off: pageId * len, len, crc32c: crc };
}

/** Incompressible bytes in slabs, and the page that they are. */
export async function fillPage(memory, path, pageId, len) {
  const lengths = Array.from({ length: Math.ceil(len / GRANULE_BYTES) }, (_, granule) =>
    Math.min(GRANULE_BYTES, len - granule * GRANULE_BYTES),
  );
  const slabs = await memory.acquire(lengths, { lane: 'demand' });
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, pageId), Buffer.alloc(16));
  let crc = 0;
  for (const { bytes } of slabs) {
    cipher.update(bytes.fill(0)).copy(bytes);
    crc = crc32c(bytes, crc);
  }
  return { page: pageOf(path, pageId, len, crc), slabs };
}

/** As the fetcher would hand it over; owns the slabs. */
export function verify({ page, slabs }) {
  return verifyRun(page, { first: 0, count: slabs.length }, slabs);
}

/**
 * Segments with the heads and footers of records of whole pages, `filePages` pages a file, and holes for payloads.
 * `footers: false` leaves them as a writer that was killed does, `heads: false` leaves out what opening does not read.
 * @param {string} directory the cache directory
 */
export function writeSparseLog(directory, { records, pageBytes, filePages, footers = true, heads = true }) {
  const folder = join(directory, 'segments');
  mkdirSync(folder, { recursive: true });
  const keys = new FileKeys();
  const blockCrcs = new Uint32Array(Math.ceil(pageBytes / BLOCK_BYTES));
  const perSegment = Math.max(1, Math.floor((2 ** 30 - 2 ** 20) / (pageBytes + 4096)));
  for (let first = 0, number = 0; first < records; first += perSegment, number += 1) {
    const segmentId = Buffer.alloc(format.SEGMENT_ID_BYTES);
    segmentId.writeUInt32LE(number + 1);
    const file = openSync(join(folder, formatSegmentName({ kind: 'sealed', idHex: segmentId.toString('hex') })), 'w');
    const header = format.encodeSegmentHeader({
      id: segmentId,
      createdAtMs: number,
      reservedBytes: 2 ** 30,
      owner: '',
    });
    writeSync(file, header, 0, header.length, 0);
    const footer = new FooterWriter();
    let offset = header.length;
    for (let record = first; record < Math.min(records, first + perSegment); record += 1) {
      const page = pageOf(`file-${Math.floor(record / filePages)}`, record % filePages, pageBytes);
      const key = { group: keys.of(page).group, item: encodeItem(itemOf(page, 0)) };
      const described = { ...key, kind: PAGE_RECORD_KIND, payloadBytes: pageBytes, writtenAtMs: 0, blockCrcs };
      const head = format.encodeRecordHead(described, { segmentId, offset });
      if (heads) writeSync(file, head, 0, head.length, offset);
      footer.add({ ...key, offset, headBytes: head.length, payloadBytes: pageBytes });
      offset += head.length + pageBytes;
    }
    if (footers) {
      const bytes = Buffer.concat(footer.finish({ segmentId, offset }));
      writeSync(file, bytes, 0, bytes.length, offset);
    } else ftruncateSync(file, offset);
    closeSync(file);
  }
}

/** The disk, noting every read: which file, where, how much. */
export function recordingDisk() {
  const reads = [];
  const disk = {
    ...nodeDisk,
    open: async (path, mode) => {
      const file = await nodeDisk.open(path, mode);
      return {
        read: (buffers, position) => {
          reads.push({ path, position, bytes: buffers.reduce((sum, buffer) => sum + buffer.length, 0) });
          return file.read(buffers, position);
        },
        write: (buffers, position) => file.write(buffers, position),
        sync: () => file.sync(),
        truncate: (bytes) => file.truncate(bytes),
        stat: () => file.stat(),
        close: () => file.close(),
      };
    },
  };
  return { disk, reads };
}
