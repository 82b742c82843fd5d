// Writes the two indexes on disk, index.bin for us and index.sqlite for people. Only the holder of the maintenance lock
// does, each whole to a temporary file, synced and renamed. Losing either loses time.
import { Worker } from 'node:worker_threads';
import type { Disk } from '../disk/disk.ts';
import { writeFileDurably } from '../disk/write-durably.ts';
import type { RecordEntry } from '../segment/format.ts';
import { decodeGroup, decodeItem, type FileName } from './page-key.ts';
import type { Segment, SegmentSet } from './segment-set.ts';
import { writeSidecar } from './sidecar.ts';
import { RECORD_COLUMNS, SqlCheckpoint, type SegmentBatch } from './sql-checkpoint.ts';
import type { SqlReply, SqlRequest } from './sql-worker.ts';

export interface CheckpointPaths {
  readonly sidecar: string;
  readonly sqlite: string;
}

/** @throws system errors of the disk; what was there before is still there then */
export async function writeCheckpoint(options: {
  readonly disk: Disk;
  readonly paths: CheckpointPaths;
  readonly set: SegmentSet;
  readonly nowMs: number;
  /** Aborted: the SQLite database stays as it was. */
  readonly signal: AbortSignal;
}): Promise<void> {
  const { disk, paths, set, nowMs, signal } = options;
  await writeSidecar(disk, paths.sidecar, set, nowMs);
  set.unsaved.records = set.unsaved.segments = 0;
  if (signal.aborted) return;
  const sql = await openSql();
  try {
    for (const segment of [...set].filter(({ scannedTo }) => scannedTo > 0)) {
      if (signal.aborted) return;
      await set.eachBatch(segment, (entries) => sql.add(batchOf(segment, entries)));
    }
    await writeFileDurably(disk, paths.sqlite, await sql.finish(nowMs));
  } finally {
    await sql.close();
  }
}

function batchOf(segment: Segment, entries: readonly RecordEntry[]): SegmentBatch {
  const files: FileName[] = [];
  const numbers = new Map<string, number>();
  const records = new Float64Array(entries.length * RECORD_COLUMNS);
  let at = 0;
  for (const entry of entries) {
    const item = decodeItem(entry.item, entry.payloadBytes);
    const file = decodeGroup(entry.group);
    if (!item || !file || entry.offset >= segment.scannedTo) continue;
    const key = entry.group.toString('latin1');
    let number = numbers.get(key);
    if (number === undefined) {
      numbers.set(key, (number = files.length));
      files.push(file);
    }
    const { pageId, firstGranule, off, len, crc32c } = item;
    records.set(
      [number, pageId, firstGranule, entry.offset, off, len, crc32c, entry.headBytes, entry.payloadBytes],
      at,
    );
    at += RECORD_COLUMNS;
  }
  const { idHex, sizeBytes, scannedTo, createdAtMs, complete } = segment;
  return {
    segment: { idHex, sealed: complete, sizeBytes, coveredBytes: scannedTo, createdAtMs },
    files,
    records: records.subarray(0, at),
  };
}

interface SqlBuilder {
  add(batch: SegmentBatch): Promise<void>;
  finish(nowMs: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** In a thread of its own; in place where that is TypeScript (tests), which a worker cannot run. */
async function openSql(): Promise<SqlBuilder> {
  if (import.meta.url.endsWith('.ts')) {
    const checkpoint = await SqlCheckpoint.begin();
    return {
      add: (batch) => Promise.resolve(checkpoint.add(batch)),
      finish: (nowMs) => Promise.resolve(checkpoint.finish(nowMs)),
      close: () => Promise.resolve(),
    };
  }
  const worker = new Worker(new URL('./sql-worker.js', import.meta.url));
  const ask = (request: SqlRequest): Promise<SqlReply> =>
    new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', (reply: SqlReply) => {
        worker.off('error', reject);
        resolve(reply);
      });
      worker.postMessage(request, request.kind === 'add' ? [request.batch.records.buffer] : []);
    });
  return {
    add: async (batch) => {
      await ask({ kind: 'add', batch });
    },
    finish: async (writtenAtMs) => (await ask({ kind: 'finish', writtenAtMs })).bytes,
    close: async () => {
      await worker.terminate();
    },
  };
}
