// Growing output and bounded input for the binary index: varints, words, strings. Reads past the end, unsafe integers
// and overlong varints throw RangeError, which the index turns into damage. Pure.

const VARINT_BYTES_MAX = 8;

export class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity = 64 * 1024) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** The bytes so far; valid until the next write. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of the bytes so far; the writer begins anew. */
  take(): Buffer {
    const bytes = Buffer.from(this.view());
    this.#length = 0;
    return bytes;
  }

  clear(): void {
    this.#length = 0;
  }

  #reserve(bytes: number): void {
    const wanted = this.#length + bytes;
    if (wanted <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(wanted, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** A whole number from 0, seven bits a byte, lowest first. */
  varint(value: number): void {
    this.#reserve(VARINT_BYTES_MAX);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  word(value: number): void {
    this.#reserve(4);
    this.#length = this.#bytes.writeUInt32LE(value, this.#length);
  }

  words(values: Uint32Array): void {
    this.#reserve(values.length * 4);
    for (const value of values) this.#length = this.#bytes.writeUInt32LE(value, this.#length);
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  hex(text: string): void {
    this.#reserve(text.length / 2);
    this.#length += this.#bytes.write(text, this.#length, 'hex');
  }

  text(text: string): void {
    const bytes = Buffer.byteLength(text);
    this.varint(bytes);
    this.#reserve(bytes);
    this.#length += this.#bytes.write(text, this.#length, 'utf8');
  }
}

export class ByteReader {
  readonly #bytes: Buffer;
  #at: number;
  readonly #end: number;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#end;
  }

  /** Passes over bytes and returns where they began. */
  skip(length: number): number {
    const start = this.#at;
    if (length < 0 || start + length > this.#end) throw new RangeError('past the end');
    this.#at = start + length;
    return start;
  }

  byte(): number {
    return this.#bytes[this.skip(1)]!;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < VARINT_BYTES_MAX; count += 1) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) throw new RangeError('unsafe integer');
        return value;
      }
      scale *= 0x80;
    }
    throw new RangeError('overlong varint');
  }

  word(): number {
    return this.#bytes.readUInt32LE(this.skip(4));
  }

  words(count: number): Uint32Array {
    const start = this.skip(count * 4);
    const values = new Uint32Array(count);
    for (let index = 0; index < count; index += 1) values[index] = this.#bytes.readUInt32LE(start + index * 4);
    return values;
  }

  raw(length: number): Buffer {
    const start = this.skip(length);
    return this.#bytes.subarray(start, start + length);
  }

  hex(length: number): string {
    const start = this.skip(length);
    return this.#bytes.toString('hex', start, start + length);
  }

  text(): string {
    const length = this.varint();
    const start = this.skip(length);
    return this.#bytes.toString('utf8', start, start + length);
  }
}
