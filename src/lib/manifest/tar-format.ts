// Tar as far as shards need it: headers of regular files as POSIX.1-2001 writes them, and a scan of any tar that streams
// by, which finds its regular files with their offsets. Pure.
//
//   header block of 512 bytes: name 0+100 · mode 100+8 · uid 108+8 · gid 116+8 · size 124+12 (octal, or base 256 with the
//   top bit set) · mtime 136+12 · checksum 148+8 · type 156 · link 157+100 · "ustar\0" "00" 257+8 · prefix 345+155
//   a name that does not fit, or is not ASCII, is a pax record "LEN path=NAME\n" in an entry of type x before it
import { SeekfsError } from '../base/errors.ts';

const TAR_BLOCK_BYTES = 512;
/** Two empty blocks. */
export const TAR_END = Buffer.alloc(2 * TAR_BLOCK_BYTES);
const OCTAL_SIZE_MAX = 8 ** 11 - 1;
/** Of a pax or long-name entry: a path of 1,024 bytes and whatever else somebody writes there. */
const EXTENSION_BYTES_MAX = 1024 * 1024;

export function paddingOf(sizeBytes: number): number {
  return (TAR_BLOCK_BYTES - (sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
}

function headerBlock(fields: { name: string; sizeBytes: number; mtimeS: number; type: string }): Buffer {
  if (fields.sizeBytes > OCTAL_SIZE_MAX) throw new RangeError('too large for a tar header');
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  const octal = (value: number, off: number, length: number): void => {
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, off, 'latin1');
  };
  block.write(fields.name, 0, 100, 'latin1');
  octal(0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(fields.sizeBytes, 124, 12);
  octal(Math.min(OCTAL_SIZE_MAX, Math.max(0, fields.mtimeS)), 136, 12);
  block.write(' '.repeat(8), 148, 'latin1');
  block.write(fields.type, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function paxRecord(name: string, value: string): string {
  const rest = ` ${name}=${value}\n`;
  const restBytes = Buffer.byteLength(rest);
  let length = restBytes;
  // The length counts its own digits.
  while (String(length).length + restBytes !== length) length = String(length).length + restBytes;
  return `${length}${rest}`;
}

/** What comes before the bytes of a file in a tar: one block, or three where the name needs them. */
export function encodeTarHeader(file: { path: string; sizeBytes: number; mtimeS: number }): Buffer {
  const { path, sizeBytes, mtimeS } = file;
  if (/^[\x20-\x7e]{1,100}$/.test(path)) return headerBlock({ name: path, sizeBytes, mtimeS, type: '0' });
  const record = Buffer.from(paxRecord('path', path));
  return Buffer.concat([
    headerBlock({ name: 'PaxHeader', sizeBytes: record.length, mtimeS, type: 'x' }),
    record,
    Buffer.alloc(paddingOf(record.length)),
    headerBlock({ name: 'file', sizeBytes, mtimeS, type: '0' }),
  ]);
}

export interface TarMember {
  /** As the tar has it. */
  readonly name: string;
  /** Of the file's first byte in the tar. */
  readonly off: number;
  readonly sizeBytes: number;
}

export interface TarVisitor {
  begin(member: TarMember): void;
  /** Bytes of the member that was begun last; not kept. */
  bytes(part: Uint8Array): void;
  end(): void;
}

function malformed(what: string): SeekfsError {
  return new SeekfsError('usage', `it is no tar that can be indexed: ${what}`);
}

function textOf(block: Buffer, off: number, length: number): string {
  const field = block.subarray(off, off + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? length : end);
}

function numberOf(block: Buffer, off: number, length: number): number {
  let value = 0;
  if (block[off]! & 0x80) {
    value = block[off]! & 0x7f;
    for (let at = off + 1; at < off + length; at += 1) value = value * 256 + block[at]!;
  } else {
    const text = textOf(block, off, length).trim();
    if (!/^[0-7]*$/.test(text)) throw malformed('a header has a number that is none');
    value = text === '' ? 0 : Number.parseInt(text, 8);
  }
  if (!Number.isSafeInteger(value)) throw malformed('a header has a number that is too large');
  return value;
}

function checkHeader(block: Buffer): void {
  let sum = 0;
  for (let at = 0; at < TAR_BLOCK_BYTES; at += 1) sum += at >= 148 && at < 156 ? 0x20 : block[at]!;
  if (sum !== numberOf(block, 148, 8)) throw malformed('a header does not have its checksum');
}

type Extension = 'pax' | 'long name';

export class TarScan {
  readonly #visitor: TarVisitor;
  readonly #header = Buffer.alloc(TAR_BLOCK_BYTES);
  #headerFilled = 0;
  #position = 0;
  /** Of the current entry's content, and of the padding behind it. */
  #contentLeft = 0;
  #paddingLeft = 0;
  #isMember = false;
  #extension: { readonly kind: Extension; readonly parts: Buffer[] } | undefined;
  /** For the next entry. */
  #path: string | undefined;
  #sizeBytes: number | undefined;
  #isEnded = false;

  constructor(visitor: TarVisitor) {
    this.#visitor = visitor;
  }

  /** @throws usage where it is no tar */
  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = 0; at < bytes.length && !this.#isEnded;) {
      const start = at;
      if (this.#contentLeft > 0) {
        at = Math.min(bytes.length, at + this.#contentLeft);
        this.#contentLeft -= at - start;
        this.#content(bytes.subarray(start, at));
      } else if (this.#paddingLeft > 0) {
        at = Math.min(bytes.length, at + this.#paddingLeft);
        this.#paddingLeft -= at - start;
      } else {
        at = Math.min(bytes.length, at + TAR_BLOCK_BYTES - this.#headerFilled);
        bytes.copy(this.#header, this.#headerFilled, start, at);
        this.#headerFilled += at - start;
      }
      this.#position += at - start;
      if (this.#headerFilled === TAR_BLOCK_BYTES) this.#entry();
    }
  }

  /** @throws usage where the tar ends within an entry */
  finish(): void {
    if (this.#contentLeft > 0 || this.#headerFilled > 0 || this.#extension) throw malformed('it ends within an entry');
  }

  #entry(): void {
    const block = this.#header;
    this.#headerFilled = 0;
    if (block.every((byte) => byte === 0)) {
      this.#isEnded = true;
      return;
    }
    checkHeader(block);
    const type = String.fromCharCode(block[156]!);
    const sizeBytes = this.#sizeBytes ?? numberOf(block, 124, 12);
    // Directories and links have no content, whatever their size says.
    this.#contentLeft = /[1-6]/.test(type) ? 0 : sizeBytes;
    this.#paddingLeft = paddingOf(this.#contentLeft);
    if (type === 'x' || type === 'L') {
      if (sizeBytes > EXTENSION_BYTES_MAX) throw malformed('an extended header is too large');
      this.#extension = { kind: type === 'x' ? 'pax' : 'long name', parts: [] };
    } else {
      const isUstar = textOf(block, 257, 5) === 'ustar' && block[262] === 0;
      const prefix = isUstar ? textOf(block, 345, 155) : '';
      const name = this.#path ?? (prefix === '' ? '' : `${prefix}/`) + textOf(block, 0, 100);
      this.#path = undefined;
      this.#sizeBytes = undefined;
      this.#isMember = type === '0' || type === '\0' || type === '7';
      if (this.#isMember && !name.endsWith('/')) this.#visitor.begin({ name, off: this.#position, sizeBytes });
      else this.#isMember = false;
    }
    if (this.#contentLeft === 0) this.#endContent();
  }

  #content(part: Buffer): void {
    if (this.#extension) this.#extension.parts.push(Buffer.from(part));
    else if (this.#isMember) this.#visitor.bytes(part);
    if (this.#contentLeft === 0) this.#endContent();
  }

  #endContent(): void {
    const extension = this.#extension;
    if (extension) {
      this.#extension = undefined;
      const bytes = Buffer.concat(extension.parts);
      if (extension.kind === 'long name') this.#path = textOf(bytes, 0, bytes.length);
      else this.#parsePax(bytes);
    } else if (this.#isMember) {
      this.#isMember = false;
      this.#visitor.end();
    }
  }

  #parsePax(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const space = bytes.indexOf(0x20, at);
      const length = space < 0 ? 0 : Number(bytes.toString('latin1', at, space));
      if (!Number.isSafeInteger(length) || length < 5 || at + length > bytes.length) throw malformed('a pax record');
      const record = bytes.toString('utf8', space + 1, at + length - 1);
      const equals = record.indexOf('=');
      const value = record.slice(equals + 1);
      if (record.slice(0, equals) === 'path') this.#path = value;
      if (record.slice(0, equals) === 'size') {
        if (!/^\d{1,15}$/.test(value)) throw malformed('a pax size');
        this.#sizeBytes = Number(value);
      }
      at += length;
    }
  }
}
