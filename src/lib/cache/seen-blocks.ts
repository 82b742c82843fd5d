// What this process has found of the check blocks of one record: which of them it read and found intact, and the quick
// sums of those that it read again, so that a block which is read time and again costs its stored checksum (CRC32C,
// bound to its place) twice and then less than half of it. Knows nothing of files.
import { quickSum } from '../base/quick-sum.ts';
import { CHECK_BLOCK_BYTES } from '../page/page.ts';

const NEVER = 0;
const READ = 1;
const SUMMED = 2;

export class SeenBlocks {
  readonly #states: Uint8Array;
  /** Taken when the first block is read again. */
  #sums: Uint32Array | undefined;

  constructor(blocks: number) {
    this.#states = new Uint8Array(blocks);
  }

  /** That it may come to. */
  get bytesMax(): number {
    return 5 * this.#states.length;
  }

  /** Blocks [first, end) were read and are intact. */
  add(first: number, end: number): void {
    for (let block = first; block < end; block += 1) if (this.#states[block] === NEVER) this.#states[block] = READ;
  }

  /** Was each of the blocks [first, end) read before? */
  has(first: number, end: number): boolean {
    for (let block = first; block < end; block += 1) if (this.#states[block] === NEVER) return false;
    return true;
  }

  /** Are these the blocks from `first` on, as they were when they were intact? False also where that is not known. */
  areSame(first: number, bytes: Buffer): boolean {
    const sums = this.#sums;
    if (!sums) return false;
    for (let at = 0, block = first; at < bytes.length; at += CHECK_BLOCK_BYTES, block += 1) {
      if (this.#states[block] !== SUMMED || sums[block] !== quickSum(blockAt(bytes, at))) return false;
    }
    return true;
  }

  /** These are the blocks from `first` on, and intact. */
  remember(first: number, bytes: Buffer): void {
    const sums = (this.#sums ??= new Uint32Array(this.#states.length));
    for (let at = 0, block = first; at < bytes.length; at += CHECK_BLOCK_BYTES, block += 1) {
      sums[block] = quickSum(blockAt(bytes, at));
      this.#states[block] = SUMMED;
    }
  }
}

function blockAt(bytes: Buffer, at: number): Buffer {
  return bytes.length <= CHECK_BLOCK_BYTES ? bytes : bytes.subarray(at, at + CHECK_BLOCK_BYTES);
}
