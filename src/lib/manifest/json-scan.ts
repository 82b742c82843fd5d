// Cuts the JSON of a manifest into its top-level members and the elements of its `files` while the bytes stream by, so
// that no step holds the document as one string. Knows JSON's brackets and strings, nothing of what the values mean;
// JSON.parse judges each piece. Everything is bounded: depth, the size of a piece, the number of members.
import { isUtf8 } from 'node:buffer';
import { SeekfsError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';

/** One entry of `files`, or one other member: a page table of a million pages fits. */
const PIECE_BYTES_MAX = 64 * MIB;
const DEPTH_MAX = 32;
const MEMBERS_MAX = 1000;

export interface ScanVisitor {
  /** A top-level member other than `files`. */
  member(name: string, value: unknown): void;
  /** The members before `files` have come. */
  beginFiles?(): void;
  /** An element of `files`, in document order. */
  file(value: unknown): void;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

type State =
  | 'start'
  | 'key or end'
  | 'key'
  | 'colon'
  | 'value'
  | 'comma or end'
  | 'element or end'
  | 'element'
  | 'element comma'
  | 'end';

/** What the piece that is being collected is. */
type Piece = 'key' | 'member' | 'element';

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function malformed(what: string): SeekfsError {
  return new SeekfsError('manifest_invalid', `the manifest is no JSON of a manifest: ${what}`);
}

export class ManifestScan {
  readonly #visitor: ScanVisitor;
  #state: State = 'start';
  #piece: Piece | undefined;
  /** Of the collected piece: open brackets, and whether the last byte is inside a string, or follows a backslash. */
  #depth = 0;
  #inString = false;
  #escaped = false;
  #scalar = false;
  #parts: Buffer[] = [];
  #partsBytes = 0;
  #name = '';
  readonly #names = new Set<string>();

  constructor(visitor: ScanVisitor) {
    this.#visitor = visitor;
  }

  /** @throws manifest_invalid */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#piece) {
        at = this.#collect(chunk, at);
      } else {
        const byte = chunk[at]!;
        if (isSpace(byte)) at += 1;
        else at = this.#structure(byte, at);
      }
    }
  }

  /** @throws manifest_invalid where the document is not complete */
  end(): void {
    if (this.#state !== 'end') throw malformed('it ends too early');
    if (!this.#names.has('files')) throw malformed('it has no "files"');
  }

  /** One byte outside of any piece; returns where to go on (the same place where a piece begins there). */
  #structure(byte: number, at: number): number {
    switch (this.#state) {
      case 'start':
        if (byte !== OPEN_OBJECT) throw malformed('it is no object');
        this.#state = 'key or end';
        return at + 1;
      case 'key or end':
      case 'key':
        if (byte === CLOSE_OBJECT && this.#state === 'key or end') {
          this.#state = 'end';
          return at + 1;
        }
        if (byte !== QUOTE) throw malformed('a member has no name');
        return this.#begin('key', at);
      case 'colon':
        if (byte !== COLON) throw malformed(`"${this.#name}" has no value`);
        this.#state = 'value';
        return at + 1;
      case 'value':
        if (this.#name !== 'files') return this.#begin('member', at);
        if (byte !== OPEN_ARRAY) throw malformed('"files" is no array');
        this.#state = 'element or end';
        this.#visitor.beginFiles?.();
        return at + 1;
      case 'element or end':
      case 'element':
        if (byte === CLOSE_ARRAY && this.#state === 'element or end') {
          this.#state = 'comma or end';
          return at + 1;
        }
        if (byte !== OPEN_OBJECT) throw malformed('an element of "files" is no object');
        return this.#begin('element', at);
      case 'element comma':
      case 'comma or end': {
        const inFiles = this.#state === 'element comma';
        if (byte === COMMA) this.#state = inFiles ? 'element' : 'key';
        else if (byte === (inFiles ? CLOSE_ARRAY : CLOSE_OBJECT)) this.#state = inFiles ? 'comma or end' : 'end';
        else throw malformed('a comma or a closing bracket is missing');
        return at + 1;
      }
      case 'end':
        throw malformed('there is something after its end');
    }
  }

  #begin(piece: Piece, at: number): number {
    this.#piece = piece;
    this.#depth = 0;
    this.#inString = false;
    this.#escaped = false;
    this.#scalar = false;
    return at;
  }

  /** Takes bytes of the piece from `at`; returns where the piece ends in this chunk, or the chunk's length. */
  #collect(chunk: Buffer, start: number): number {
    let at = start;
    let depth = this.#depth;
    let inString = this.#inString;
    let ended = false;
    if (this.#escaped) {
      this.#escaped = false;
      at += 1;
    }
    for (; at < chunk.length; at += 1) {
      const byte = chunk[at]!;
      if (inString) {
        if (byte === BACKSLASH) {
          at += 1;
          if (at === chunk.length) this.#escaped = true;
        } else if (byte === QUOTE) {
          inString = false;
          ended = depth === 0;
        }
      } else if (byte === QUOTE) {
        inString = true;
      } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        depth += 1;
        if (depth > DEPTH_MAX) throw malformed(`it is nested deeper than ${DEPTH_MAX}`);
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        if (depth === 0) {
          if (!this.#scalar) throw malformed('a value is missing');
          this.#finish(chunk.subarray(start, at));
          return at;
        }
        depth -= 1;
        ended = depth === 0;
      } else if (depth === 0) {
        if (byte === COMMA || isSpace(byte)) {
          if (!this.#scalar) throw malformed('a value is missing');
          this.#finish(chunk.subarray(start, at));
          return at;
        }
        this.#scalar = true;
      }
      if (ended) {
        this.#finish(chunk.subarray(start, at + 1));
        return at + 1;
      }
    }
    this.#depth = depth;
    this.#inString = inString;
    this.#keep(chunk.subarray(start));
    return chunk.length;
  }

  #keep(part: Buffer): void {
    this.#partsBytes += part.length;
    if (this.#partsBytes > PIECE_BYTES_MAX) throw malformed(`one entry is larger than ${PIECE_BYTES_MAX} bytes`);
    // A copy: whoever pushes may use the chunk's memory again.
    this.#parts.push(Buffer.from(part));
  }

  #finish(last: Buffer): void {
    let bytes = last;
    if (this.#parts.length > 0) {
      this.#keep(last);
      bytes = Buffer.concat(this.#parts);
      this.#parts = [];
      this.#partsBytes = 0;
    }
    if (!isUtf8(bytes)) throw malformed('it is not UTF-8');
    let value: unknown;
    try {
      value = JSON.parse(bytes.toString('utf8'));
    } catch (error) {
      throw new SeekfsError('manifest_invalid', 'the manifest has a piece that is no JSON', { cause: error });
    }
    const piece = this.#piece;
    this.#piece = undefined;
    if (piece === 'element') {
      this.#state = 'element comma';
      this.#visitor.file(value);
    } else if (piece === 'key') {
      if (typeof value !== 'string') throw malformed('a member has no name');
      if (this.#names.has(value)) throw malformed(`"${value.slice(0, 100)}" is there twice`);
      if (this.#names.size >= MEMBERS_MAX) throw malformed(`it has more than ${MEMBERS_MAX} members`);
      this.#names.add(value);
      this.#name = value;
      this.#state = 'colon';
    } else {
      this.#state = 'comma or end';
      this.#visitor.member(this.#name, value);
    }
  }
}
