// index.sqlite: what the cache holds, as a database that anyone can open with `sqlite3`. Built in memory by sql.js from
// the entries of the segments, and handed out as bytes. Runs in a worker thread (sql-worker.ts); does no I/O itself.
import type { Database, Statement } from 'sql.js';
import type { FileName } from './page-key.ts';

const SCHEMA_VERSION = 1;

/** docs/format/segment.md explains it column by column. */
const SCHEMA = `
PRAGMA user_version = ${SCHEMA_VERSION};
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE segment (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, sealed INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL, covered_bytes INTEGER NOT NULL, created_at_ms INTEGER NOT NULL);
CREATE TABLE file (
  number INTEGER PRIMARY KEY, ns TEXT NOT NULL, path TEXT NOT NULL, identity TEXT NOT NULL,
  UNIQUE (ns, path, identity));
CREATE TABLE record (
  file INTEGER NOT NULL REFERENCES file, page_id INTEGER NOT NULL, first_granule INTEGER NOT NULL,
  segment INTEGER NOT NULL REFERENCES segment, offset INTEGER NOT NULL,
  page_off INTEGER NOT NULL, page_len INTEGER NOT NULL, page_crc32c INTEGER NOT NULL,
  head_bytes INTEGER NOT NULL, payload_bytes INTEGER NOT NULL,
  PRIMARY KEY (file, page_id, first_granule, segment, offset)) WITHOUT ROWID;
CREATE VIEW cached AS
  SELECT ns, path, identity, page_id, page_off, page_len, first_granule * 131072 AS off_in_page,
    payload_bytes AS bytes, segment.id AS segment, offset
  FROM record JOIN file ON file.number = record.file JOIN segment ON segment.number = record.segment;
`;

export interface SegmentRow {
  readonly idHex: string;
  readonly sealed: boolean;
  readonly sizeBytes: number;
  readonly coveredBytes: number;
  readonly createdAtMs: number;
}

/** Columns of one record: file (in `files` of the batch), and the rest as in the table. */
export const RECORD_COLUMNS = 9;

/** Some of the records of one segment. Plain data: it crosses to a worker thread. */
export interface SegmentBatch {
  readonly segment: SegmentRow;
  readonly files: readonly FileName[];
  /** file, page id, first granule, offset, page off, page len, page CRC, head bytes, payload bytes; again and again */
  readonly records: Float64Array<ArrayBuffer>;
}

export class SqlCheckpoint {
  readonly #db: Database;
  readonly #file: Statement;
  readonly #fileNumber: Statement;
  readonly #record: Statement;
  #segments = 0;
  #lastIdHex = '';

  private constructor(db: Database) {
    this.#db = db;
    db.run(SCHEMA);
    db.run('BEGIN');
    this.#file = db.prepare('INSERT OR IGNORE INTO file (ns, path, identity) VALUES (?, ?, ?)');
    this.#fileNumber = db.prepare('SELECT number FROM file WHERE ns = ? AND path = ? AND identity = ?');
    this.#record = db.prepare('INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  }

  static async begin(): Promise<SqlCheckpoint> {
    const { default: initSqlJs } = await import('sql.js');
    const sql = await initSqlJs();
    return new SqlCheckpoint(new sql.Database());
  }

  /** Batches of one segment follow each other. */
  add(batch: SegmentBatch): void {
    const { segment, records } = batch;
    if (segment.idHex !== this.#lastIdHex) this.#addSegment(segment);
    const number = this.#segments - 1;
    const files = batch.files.map((file) => this.#numberOf(file));
    for (let at = 0; at + RECORD_COLUMNS <= records.length; at += RECORD_COLUMNS) {
      const [file, pageId, first, ...rest] = records.subarray(at, at + RECORD_COLUMNS);
      this.#record.run([files[file!]!, pageId!, first!, number, ...rest]);
    }
  }

  #addSegment({ idHex, sealed, sizeBytes, coveredBytes, createdAtMs }: SegmentRow): void {
    const row = [this.#segments, idHex, sealed ? 1 : 0, sizeBytes, coveredBytes, createdAtMs];
    this.#db.run('INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?)', row);
    this.#lastIdHex = idHex;
    this.#segments += 1;
  }

  #numberOf({ ns, path, identity }: FileName): number {
    this.#file.run([ns, path, identity]);
    const [number] = this.#fileNumber.get([ns, path, identity]);
    this.#fileNumber.reset();
    return Number(number);
  }

  /** The database file's bytes; nothing can be added afterwards. */
  finish(writtenAtMs: number): Uint8Array<ArrayBuffer> {
    this.#db.run("INSERT INTO meta VALUES ('format', ?), ('written_at_ms', ?)", [SCHEMA_VERSION, writtenAtMs]);
    this.#db.run('COMMIT');
    const bytes = this.#db.export() as Uint8Array<ArrayBuffer>;
    this.#db.close();
    return bytes;
  }
}
