// CRC32C (Castagnoli, reflected 0x82F63B78). The fastest implementation that loads is taken: the prebuilt native
// @node-rs/crc32 (7 GB/s), else hash-wasm (2 GB/s). `crc32cCombine` joins CRCs of neighbours without their bytes.
import { createRequire } from 'node:module';

type Crc32c = (bytes: Uint8Array, initial?: number) => number;

const POLYNOMIAL = 0x82f63b78;

const require = createRequire(import.meta.url);
let implementation: Crc32c | undefined;

/**
 * Must have resolved before `crc32c` is called; later calls cost nothing.
 * WebAssembly is loaded only where the native module is not to be had.
 */
export async function loadCrc32c(): Promise<void> {
  if (implementation) return;
  try {
    implementation = (require('@node-rs/crc32') as { crc32c: Crc32c }).crc32c;
  } catch {
    implementation = await loadWasm();
  }
}

/** hash-wasm behind the same signature; exported for the test that compares the two. */
export async function loadWasm(): Promise<Crc32c> {
  const { createCRC32 } = await import('hash-wasm');
  const hasher = await createCRC32(POLYNOMIAL);
  return (bytes, initial) => {
    hasher.init();
    hasher.update(bytes);
    const crc = Number.parseInt(hasher.digest('hex'), 16) >>> 0;
    return initial === undefined ? crc : crc32cCombine(initial, crc, bytes.length);
  };
}

/** CRC of `bytes`, or of what `initial` is the CRC of followed by `bytes`. "123456789" gives 0xE3069283. */
export function crc32c(bytes: Uint8Array, initial?: number): number {
  if (!implementation) throw new Error('loadCrc32c() has not resolved');
  return initial === undefined ? implementation(bytes) : implementation(bytes, initial);
}

/** A 32×32 matrix over GF(2), one column a word: the effect of appending zero bytes to a CRC register. */
type Operator = Uint32Array;

function apply(operator: Operator, vector: number): number {
  let sum = 0;
  for (let bit = 0, rest = vector; rest !== 0; bit += 1, rest >>>= 1) {
    if (rest & 1) sum ^= operator[bit]!;
  }
  return sum >>> 0;
}

function square(operator: Operator): Operator {
  return operator.map((column) => apply(operator, column));
}

/** POWERS[k] appends 2^k zero bytes; 53 of them cover every safe length. */
const POWERS: Operator[] = [];

function power(k: number): Operator {
  if (POWERS.length === 0) {
    let operator: Operator = new Uint32Array(32);
    operator[0] = POLYNOMIAL;
    for (let bit = 1; bit < 32; bit += 1) operator[bit] = 2 ** (bit - 1);
    for (let doublings = 0; doublings < 3; doublings += 1) operator = square(operator);
    POWERS.push(operator);
  }
  while (POWERS.length <= k) POWERS.push(square(POWERS.at(-1)!));
  return POWERS[k]!;
}

/** POWERS[k] as four tables, one for each byte of a register. */
const TABLES: (Uint32Array | undefined)[] = [];

/** Only where B is a power of two long, as check blocks and granules are: half the time, and they come by the ten thousand. */
function table(k: number): Uint32Array {
  return (TABLES[k] ??= makeTable(power(k)));
}

function makeTable(operator: Operator): Uint32Array {
  const made = new Uint32Array(4 * 256);
  for (let at = 0; at < made.length; at += 1) {
    const byte = at & 255;
    if (byte === 0) continue;
    const lowest = 31 - Math.clz32(byte & -byte);
    made[at] = made[at & ~(byte & -byte)]! ^ operator[(at >>> 8) * 8 + lowest]!;
  }
  return made;
}

function applyTable(tables: Uint32Array, vector: number): number {
  return (
    tables[vector & 255]! ^
    tables[256 + ((vector >>> 8) & 255)]! ^
    tables[512 + ((vector >>> 16) & 255)]! ^
    tables[768 + (vector >>> 24)]!
  );
}

/** The CRC of A followed by B, from the CRC of A, the CRC of B and the length of B in bytes. */
export function crc32cCombine(crcA: number, crcB: number, lengthOfB: number): number {
  if (lengthOfB > 0 && lengthOfB < 2 ** 31 && (lengthOfB & (lengthOfB - 1)) === 0) {
    return (applyTable(table(31 - Math.clz32(lengthOfB)), crcA) ^ crcB) >>> 0;
  }
  let register = crcA;
  for (let k = 0, rest = lengthOfB; rest > 0; k += 1, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) register = apply(power(k), register);
  }
  return (register ^ crcB) >>> 0;
}
