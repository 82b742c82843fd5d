// Data that is the same in every run: incompressible bytes from a seed, and a seeded generator for offsets.
import { createCipheriv, createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

const CHUNK_BYTES = 4 * 1024 * 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** @param {string} path @param {{ bytes: number, seed: number }} options */
export function writeSeededFile(path, { bytes, seed }) {
  mkdirSync(dirname(path), { recursive: true });
  const key = createHash('sha256').update(`seekfs bench ${seed}`).digest();
  const stream = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  const file = openSync(path, 'w');
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) {
    writeSync(file, stream.update(ZEROS.subarray(0, Math.min(left, CHUNK_BYTES))));
  }
  closeSync(file);
  return path;
}

/** Files of equal size under a directory, a hundred to a folder. @returns {string[]} paths relative to it */
export function writeSeededTree(directory, { files, bytes, seed }) {
  return Array.from({ length: files }, (_, index) => {
    const path = join(String(Math.floor(index / 100)).padStart(4, '0'), `${String(index).padStart(6, '0')}.bin`);
    writeSeededFile(join(directory, path), { bytes, seed: seed + index });
    return path;
  });
}

/** mulberry32. @param {number} seed @returns {() => number} uniform in [0, 1) */
export function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
