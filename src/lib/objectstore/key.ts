// Object keys: what may be one, and their order. Used by every engine; knows nothing of namespaces or manifests. Pure.
import { SeekfsError } from '../base/errors.ts';

const KEY_BYTES_MAX = 1024;

/** @throws usage for a key that no S3 store takes: empty, over 1,024 bytes, with NUL, or no well-formed Unicode */
export function checkKey(key: string): void {
  const lengthBytes = Buffer.byteLength(key);
  if (lengthBytes < 1 || lengthBytes > KEY_BYTES_MAX) {
    const shown = key.length > 40 ? `${key.slice(0, 40)}…` : key;
    throw new SeekfsError('usage', `key "${shown}" has ${lengthBytes} bytes; a key has 1 to ${KEY_BYTES_MAX}`);
  }
  if (key.includes('\0')) {
    throw new SeekfsError('usage', `key ${JSON.stringify(key)} contains a NUL byte; no store keeps such a key`);
  }
  if (/\p{Surrogate}/u.test(key)) {
    throw new SeekfsError('usage', `key ${JSON.stringify(key)} is not well-formed Unicode; no store keeps such a key`);
  }
}

/** At or above: surrogates, which stand for what sorts last in UTF-8, and U+E000 to U+FFFF, which sort before them. */
const FIRST_SURROGATE = 0xd800;
const AFTER_SURROGATES = 0xe000;

function rank(codeUnit: number): number {
  if (codeUnit < FIRST_SURROGATE) return codeUnit;
  return codeUnit < AFTER_SURROGATES ? codeUnit + 0x1_0000 : codeUnit;
}

/** Negative, 0 or positive: the order of the keys' UTF-8 bytes, in which S3 lists. */
export function compareKeys(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let index = 0; index < shared; index += 1) {
    const unitA = a.charCodeAt(index);
    const unitB = b.charCodeAt(index);
    if (unitA !== unitB) return rank(unitA) - rank(unitB);
  }
  return a.length - b.length;
}
