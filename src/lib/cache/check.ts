// Checks a segmentstore without changing anything: fast reads every header, head, footer and index, deep every payload
// as well. Used by `fsck` and by repair. Damage is a finding, never an error.
import { join } from 'node:path';
import { crc32c, loadCrc32c } from '../base/crc32c.ts';
import { systemErrorCode, throwIfAborted } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';
import { listIfThere } from '../disk/if-there.ts';
import {
  BLOCK_BYTES,
  recordBytes,
  SEGMENT_HEADER_BYTES,
  type RecordEntry,
  type RecordHead,
} from '../segment/format.ts';
import { parseSegmentName, type SegmentName } from '../segment/names.ts';
import { readRecordHead } from '../segment/reader.ts';
import { findFooter, readFooter, readSegmentHeader, scanRecords } from '../segment/scan.ts';
import { findMisplaced, layoutOf } from './layout.ts';
import { decodeGroup, decodeItem, type FileName } from './page-key.ts';
import { checkSidecar } from './sidecar.ts';

/** What each kind of finding means; `problem` is damage, `note` is harmless. */
const FINDING_KINDS = {
  segment_header: 'problem',
  record_head: 'problem',
  record_payload: 'problem',
  footer: 'problem',
  index: 'problem',
  unreadable: 'problem',
  misplaced: 'problem',
  torn_tail: 'note',
  foreign_file: 'note',
} as const;

export type FindingKind = keyof typeof FINDING_KINDS;

export interface Finding {
  readonly kind: FindingKind;
  readonly severity: 'problem' | 'note';
  /** Name of the file within the cache directory. */
  readonly file: string;
  /** Half-open stretch of the file. */
  readonly start: number;
  readonly end: number;
  /** What is lost, where that is known. */
  readonly page?: (FileName & { readonly pageId: number }) | undefined;
  readonly detail: string;
}

export interface CheckReport {
  readonly findings: readonly Finding[];
  readonly segments: number;
  readonly records: number;
  readonly payloadBytes: number;
  /** Bytes of payload that were read and compared with their checksums: all of them, or none. */
  readonly checkedBytes: number;
}

export interface CheckOptions {
  readonly disk: Disk;
  /** The cache directory. */
  readonly directoryPath: string;
  readonly deep: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: { readonly doneBytes: number; readonly totalBytes: number }) => void) | undefined;
}

/**
 * Findings in the order of the files. A directory that does not exist is an empty cache without findings.
 * @throws interrupted; access_denied and others where the directory itself cannot be listed
 */
export async function checkSegmentStore(options: CheckOptions): Promise<CheckReport> {
  await loadCrc32c();
  const check = new Check(options);
  await check.run();
  return check.report();
}

interface Located {
  readonly fileName: string;
  readonly name: SegmentName;
  readonly sizeBytes: number;
}

class Check {
  readonly #options: CheckOptions;
  readonly #findings: Finding[] = [];
  readonly #buffer = Buffer.allocUnsafe(MIB);
  #segments = 0;
  #records = 0;
  #payloadBytes = 0;
  #checkedBytes = 0;
  #doneBytes = 0;

  constructor(options: CheckOptions) {
    this.#options = options;
  }

  report(): CheckReport {
    return {
      findings: this.#findings,
      segments: this.#segments,
      records: this.#records,
      payloadBytes: this.#payloadBytes,
      checkedBytes: this.#checkedBytes,
    };
  }

  async run(): Promise<void> {
    const { disk, directoryPath, signal, onProgress } = this.#options;
    const layout = layoutOf(directoryPath);
    const { segments, sidecar } = layout;
    const misplaced = await findMisplaced(disk, layout);
    for (const { name, detail } of misplaced) this.#add('misplaced', { file: name, start: 0, end: 0, detail });
    const isSound = (path: string): boolean => misplaced.every((found) => found.path !== path);
    const located = isSound(segments) ? await this.#locate(segments) : [];
    const totalBytes = located.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (const segment of located) {
      throwIfAborted(signal);
      await this.#guarded(segment, async () => {
        const file = await disk.open(join(segments, segment.fileName), 'read');
        try {
          await this.#checkSegment(file, segment);
        } finally {
          await file.close();
        }
      });
      this.#doneBytes += segment.sizeBytes;
      onProgress?.({ doneBytes: this.#doneBytes, totalBytes });
    }
    const wrong = isSound(sidecar) ? await checkSidecar(disk, sidecar) : undefined;
    if (wrong) this.#add('index', { file: 'index.bin', start: 0, end: 0, detail: wrong });
  }

  async #locate(segments: string): Promise<Located[]> {
    const { disk } = this.#options;
    const located: Located[] = [];
    for (const fileName of (await listIfThere(disk, segments)) ?? []) {
      const name = parseSegmentName(fileName);
      const stat = await disk.stat(join(segments, fileName)).catch(() => undefined);
      if (name && stat?.kind === 'file') located.push({ fileName, name, sizeBytes: stat.sizeBytes });
      else if (stat) {
        const detail = 'not a file of the segmentstore; it is left alone';
        this.#add('foreign_file', { file: join('segments', fileName), start: 0, end: stat.sizeBytes, detail });
      }
    }
    return located;
  }

  /** A segment that is removed meanwhile was none; one that cannot be read is a finding. */
  async #guarded(segment: Located, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === undefined) throw error;
      if (code === 'ENOENT') return;
      const file = join('segments', segment.fileName);
      this.#add('unreadable', { file, start: 0, end: segment.sizeBytes, detail: `the disk answers ${code}` });
    }
  }

  async #checkSegment(file: DiskFile, segment: Located): Promise<void> {
    const { name, sizeBytes } = segment;
    const id = Buffer.from(name.idHex, 'hex');
    const where = join('segments', segment.fileName);
    this.#segments += 1;
    const header = await readSegmentHeader(file);
    const sound = header?.id.equals(id) ?? false;
    if (!sound && sizeBytes > 0) {
      const detail = 'the segment header does not fit its checksum or its name';
      this.#add('segment_header', { file: where, start: 0, end: SEGMENT_HEADER_BYTES, detail });
    }
    const from = sound ? header!.headerBytes : SEGMENT_HEADER_BYTES;
    const footer = await readFooter(file, { id, sizeBytes });
    const dataEnd = footer?.offset ?? sizeBytes;
    const scan = await scanRecords(file, { id, sizeBytes: dataEnd, from, resync: true });
    const promised = new Map(footer?.entries.map((entry) => [entry.offset, entry]));
    for (const entry of scan.entries) promised.delete(entry.offset);
    for (const entry of promised.values()) {
      const end = entry.offset + recordBytes(entry);
      const detail = 'the head of the record does not fit its checksum';
      this.#add('record_head', { file: where, start: entry.offset, end, page: pageOf(entry), detail });
    }
    const promisedStarts = new Set([...promised.values()].map(({ offset }) => offset));
    for (const { start, end } of scan.damage) {
      if (promisedStarts.has(start)) continue;
      // A header that lost its length makes the scan begin inside its owner text.
      if (!sound && start === from) continue;
      this.#add('record_head', { file: where, start, end, detail: 'no record begins here, but one follows' });
    }
    if (!footer && name.kind === 'sealed' && scan.end < sizeBytes)
      await this.#checkTail(file, where, scan.end, sizeBytes);
    for (const entry of scan.entries) await this.#checkRecord(file, where, id, entry);
  }

  /** What follows the last record of a sealed segment without a valid footer: a damaged one, or a torn record. */
  async #checkTail(file: DiskFile, where: string, start: number, end: number): Promise<void> {
    if (await findFooter(file, { start, sizeBytes: end })) {
      this.#add('footer', { file: where, start, end, detail: 'the footer does not fit its checksum' });
    } else {
      const detail = 'the last append was cut off; nothing that was promised is lost';
      this.#add('torn_tail', { file: where, start, end, detail });
    }
  }

  async #checkRecord(file: DiskFile, where: string, segmentId: Buffer, entry: RecordEntry): Promise<void> {
    this.#records += 1;
    this.#payloadBytes += entry.payloadBytes;
    const { deep, signal } = this.#options;
    if (!deep) return;
    throwIfAborted(signal);
    const head = await readRecordHead(file, { segmentId, offset: entry.offset, headBytes: entry.headBytes });
    if (!head) return;
    const bad = await this.#badBlocks(file, head);
    this.#checkedBytes += entry.payloadBytes;
    if (bad.length === 0) return;
    const start = entry.offset + entry.headBytes + bad[0]! * BLOCK_BYTES;
    const end = Math.min(entry.offset + recordBytes(entry), start + BLOCK_BYTES);
    const detail = `${bad.length} of ${head.blockCrcs.length} check blocks do not fit their checksums`;
    this.#add('record_payload', { file: where, start, end, page: pageOf(entry), detail });
  }

  async #badBlocks(file: DiskFile, head: RecordHead): Promise<number[]> {
    const bad: number[] = [];
    const payloadAt = head.offset + head.headBytes;
    for (let at = 0; at < head.payloadBytes; at += this.#buffer.length) {
      const chunk = this.#buffer.subarray(0, Math.min(this.#buffer.length, head.payloadBytes - at));
      const length = await file.read([chunk], payloadAt + at);
      for (let inChunk = 0; inChunk < chunk.length; inChunk += BLOCK_BYTES) {
        const block = (at + inChunk) / BLOCK_BYTES;
        const bytes = chunk.subarray(inChunk, inChunk + BLOCK_BYTES);
        if (inChunk + bytes.length > length || crc32c(bytes) !== head.blockCrcs[block]) bad.push(block);
      }
    }
    return bad;
  }

  #add(kind: FindingKind, finding: Omit<Finding, 'kind' | 'severity'>): void {
    this.#findings.push({ kind, severity: FINDING_KINDS[kind], ...finding });
  }
}

function pageOf(entry: RecordEntry): Finding['page'] {
  const file = decodeGroup(entry.group);
  const item = decodeItem(entry.item, entry.payloadBytes);
  return file && item && { ...file, pageId: item.pageId };
}
