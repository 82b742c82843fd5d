// Entries of a version to be, packed as the compiled index packs them: a million that wait to be published take some
// 200 MB instead of more than a gigabyte. For everything that gathers upserts.
import { SeekfsError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import { compareKeys } from '../objectstore/key.ts';
import { ByteReader, ByteWriter } from './byte-cursor.ts';
import { decodeRecord, encodeRecord } from './index-record.ts';
import type { FileEntry } from './types.ts';

const CHUNK_BYTES = MIB;

export class EntryList {
  readonly #ns: string;
  readonly #paths: string[] = [];
  /** Of each entry: its chunk, and where in it the record begins. */
  readonly #chunkNumbers: number[] = [];
  readonly #offsets: number[] = [];
  readonly #chunks: Buffer[] = [];
  #open = new ByteWriter(CHUNK_BYTES);

  /** `entries` in any order. */
  constructor(ns: string, entries: Iterable<FileEntry> = []) {
    this.#ns = ns;
    for (const entry of entries) this.add(entry);
  }

  get length(): number {
    return this.#paths.length;
  }

  get paths(): readonly string[] {
    return this.#paths;
  }

  add(entry: FileEntry): void {
    if (this.#open.length >= CHUNK_BYTES) {
      this.#chunks.push(this.#open.take());
      this.#open = new ByteWriter(CHUNK_BYTES);
    }
    this.#paths.push(entry.path);
    this.#chunkNumbers.push(this.#chunks.length);
    this.#offsets.push(this.#open.length);
    encodeRecord(this.#open, this.#ns, entry);
  }

  /**
   * In UTF-8 byte order of their paths; nothing may be added meanwhile.
   * @throws usage where a path is there twice, before the first entry
   */
  *sorted(): Generator<FileEntry, undefined> {
    const paths = this.#paths;
    const order = Uint32Array.from(paths.keys()).sort((a, b) => compareKeys(paths[a]!, paths[b]!));
    for (let at = 1; at < order.length; at += 1) {
      if (paths[order[at]!] === paths[order[at - 1]!]) {
        throw new SeekfsError('usage', `the path ${paths[order[at]!]} is given twice`);
      }
    }
    const chunks = [...this.#chunks, this.#open.view()];
    for (const index of order) {
      const chunk = this.#chunkNumbers[index]!;
      const isLast = index + 1 === paths.length || this.#chunkNumbers[index + 1] !== chunk;
      const bytes = chunks[chunk]!;
      const end = isLast ? bytes.length : this.#offsets[index + 1]!;
      yield decodeRecord(new ByteReader(bytes, this.#offsets[index], end), this.#ns, paths[index]!);
    }
    return undefined;
  }
}
