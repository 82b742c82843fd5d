// The quickest checksum at hand, for bytes that this process has checked already and reads again: CRC-32 as zlib has it,
// which processors fold 16 bytes at a time (13 GB/s, CRC32C 5 to 8). Only ever compared with one of the same process.
import { createRequire } from 'node:module';

type Sum = (bytes: Uint8Array) => number;

const require = createRequire(import.meta.url);
let sum: Sum | undefined;

function quickest(): Sum {
  try {
    return (require('@node-rs/crc32') as { crc32: Sum }).crc32;
  } catch {
    return (require('node:zlib') as { crc32: Sum }).crc32;
  }
}

/** 32 bits; of other bytes they are others, as surely as of CRC32C. Never written to a disk: what it is may change. */
export function quickSum(bytes: Uint8Array): number {
  sum ??= quickest();
  return sum(bytes);
}
