// Finds the records of a segment file: from its footer where it is sealed, else by walking the heads. Reads no payload.
// Used to open, to follow what other processes append, to rebuild and to check; trusts nothing that it reads.
import type { DiskFile } from '../disk/disk.ts';
import { Footer } from './footer.ts';
import {
  decodeRecordEntry,
  decodeSegmentHeader,
  FOOTER_MAGIC,
  OWNER_BYTES_MAX,
  peekRecordHead,
  recordBytes,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  SEGMENT_HEADER_BYTES,
  TRAILER_BYTES,
  TRAILER_MAGIC,
  type RecordEntry,
  type SegmentHeader,
} from './format.ts';
import { KIB, MIB } from '../base/units.ts';

const WINDOW_BYTES = 64 * KIB;
/** Enough for the head of a page of 8 MiB; larger heads take a second read. */
const SPARSE_WINDOW_BYTES = 4 * KIB;
const RESYNC_BYTES = MIB;
const BATCH_ENTRIES = 1024;

export type OpenedSegmentHeader = SegmentHeader & { readonly headerBytes: number };

/** @throws system errors of the disk */
export async function readSegmentHeader(file: DiskFile): Promise<OpenedSegmentHeader | undefined> {
  const bytes = Buffer.allocUnsafe(SEGMENT_HEADER_BYTES + OWNER_BYTES_MAX);
  const length = await file.read([bytes], 0);
  return decodeSegmentHeader(bytes.subarray(0, length));
}

/**
 * The entries of the footer that ends the file, all of them, with the offset where it begins; undefined where no whole one
 * does.
 * @throws system errors of the disk
 */
export async function readFooter(
  file: DiskFile,
  segment: { readonly id: Buffer; readonly sizeBytes: number },
): Promise<{ readonly entries: RecordEntry[]; readonly offset: number } | undefined> {
  const footer = await Footer.read(file, segment);
  if (!footer) return undefined;
  const entries: RecordEntry[] = [];
  for await (const batch of footer.batches()) entries.push(...batch);
  return { entries, offset: footer.offset };
}

/**
 * Whether a footer, however damaged, seems to follow the records that end at `start`: its magic is there, or that of
 * its trailer at the end of the file.
 * @throws system errors of the disk
 */
export async function findFooter(
  file: DiskFile,
  segment: { readonly start: number; readonly sizeBytes: number },
): Promise<boolean> {
  const { start, sizeBytes } = segment;
  const first = Buffer.alloc(FOOTER_MAGIC.length);
  await file.read([first], start);
  if (first.equals(FOOTER_MAGIC)) return true;
  const last = Buffer.alloc(TRAILER_BYTES);
  await file.read([last], Math.max(start, sizeBytes - TRAILER_BYTES));
  return last.subarray(0, TRAILER_MAGIC.length).equals(TRAILER_MAGIC);
}

export interface ScanResult {
  readonly entries: RecordEntry[];
  /** The end of the last record that is whole: a later scan begins here. */
  readonly end: number;
  /** Stretches that were passed over because no valid head begins there: half-open offsets in the file. */
  readonly damage: readonly { readonly start: number; readonly end: number }[];
}

/**
 * Walks the record heads in [from, sizeBytes), some thousand at a time. It ends silently at the first offset where no
 * whole record begins, which is a torn tail or a record that is being written; with `resync` it first looks for a head
 * further on.
 * @throws system errors of the disk
 */
export async function* scanBatches(
  file: DiskFile,
  segment: { readonly id: Buffer; readonly sizeBytes: number; readonly from: number; readonly resync: boolean },
): AsyncGenerator<ScanResult> {
  const { id, sizeBytes } = segment;
  const window = new Window(file, sizeBytes);
  let entries: RecordEntry[] = [];
  let damage: { start: number; end: number }[] = [];
  let offset = segment.from;
  while (offset + RECORD_HEADER_BYTES <= sizeBytes) {
    const entry = await entryAt(window, id, offset);
    if (entry) {
      entries.push(entry);
      offset += recordBytes(entry);
    } else {
      const next = segment.resync ? await findRecord(window, id, offset + 1) : undefined;
      if (next === undefined) break;
      damage.push({ start: offset, end: next });
      offset = next;
    }
    if (entries.length + damage.length < BATCH_ENTRIES) continue;
    yield { entries, damage, end: offset };
    [entries, damage] = [[], []];
  }
  yield { entries, damage, end: offset };
}

/**
 * As `scanBatches`, all at once.
 * @throws system errors of the disk
 */
export async function scanRecords(...scanned: Parameters<typeof scanBatches>): Promise<ScanResult> {
  const entries: RecordEntry[] = [];
  const damage: { readonly start: number; readonly end: number }[] = [];
  let end = scanned[1].from;
  for await (const batch of scanBatches(...scanned)) {
    entries.push(...batch.entries);
    damage.push(...batch.damage);
    end = batch.end;
  }
  return { entries, damage, end };
}

/**
 * What the records of a segment are, some thousand at a time: by its footer, else by their heads, past damage as well.
 * @throws system errors of the disk
 */
export async function* recordBatches(
  file: DiskFile,
  segment: { readonly id: Buffer; readonly sizeBytes: number },
): AsyncGenerator<readonly RecordEntry[]> {
  const footer = await Footer.read(file, segment);
  if (footer) return yield* footer.batches();
  const from = (await readSegmentHeader(file))?.headerBytes ?? SEGMENT_HEADER_BYTES;
  for await (const { entries } of scanBatches(file, { ...segment, from, resync: true })) yield entries;
}

/** Reads ahead of the scan: much where records are small and lie close, little where payloads are to be skipped. */
class Window {
  readonly #file: DiskFile;
  readonly sizeBytes: number;
  #start = 0;
  #bytes = Buffer.alloc(0);

  constructor(file: DiskFile, sizeBytes: number) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
  }

  /** At least `length` bytes at `offset`, fewer only at the end of the file. The view dies with the next call. */
  async at(offset: number, length: number): Promise<Buffer> {
    const skip = offset - this.#start;
    if (skip >= 0 && skip + length <= this.#bytes.length) return this.#bytes.subarray(skip);
    const near = skip >= 0 && skip < this.#bytes.length + WINDOW_BYTES;
    const wanted = Math.max(length, near ? WINDOW_BYTES : SPARSE_WINDOW_BYTES);
    const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(wanted, this.sizeBytes - offset)));
    const done = await this.#file.read([bytes], offset);
    this.#start = offset;
    this.#bytes = bytes.subarray(0, done);
    return this.#bytes;
  }
}

async function entryAt(window: Window, segmentId: Buffer, offset: number): Promise<RecordEntry | undefined> {
  let bytes = await window.at(offset, RECORD_HEADER_BYTES);
  const lengths = peekRecordHead(bytes);
  if (!lengths || offset + recordBytes(lengths) > window.sizeBytes) return undefined;
  if (lengths.headBytes > bytes.length) bytes = await window.at(offset, lengths.headBytes);
  return decodeRecordEntry(bytes, { segmentId, offset });
}

/** The next offset at or after `from` where a whole record of this segment begins: its id and offset cannot be chance. */
async function findRecord(window: Window, segmentId: Buffer, from: number): Promise<number | undefined> {
  let offset = from;
  while (offset + RECORD_HEADER_BYTES <= window.sizeBytes) {
    const bytes = Buffer.from(await window.at(offset, Math.min(RESYNC_BYTES, window.sizeBytes - offset)));
    for (let at = bytes.indexOf(RECORD_MAGIC); at >= 0; at = bytes.indexOf(RECORD_MAGIC, at + 1)) {
      if (await entryAt(window, segmentId, offset + at)) return offset + at;
    }
    if (bytes.length < RECORD_MAGIC.length) return undefined;
    offset += bytes.length - RECORD_MAGIC.length + 1;
  }
  return undefined;
}
