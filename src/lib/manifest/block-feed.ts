// Feeds one file to its hashing in blocks, of which a few go round: the next is filled while the last is hashed.
import { MIB } from '../base/units.ts';
import type { FileHashing } from './checksum-pool.ts';
import type { Checksums } from './checksums.ts';

export const FEED_BLOCK_BYTES = MIB;
const BLOCKS = 2;

export class BlockFeed {
  readonly #hashing: FileHashing;
  readonly #blockBytes: number;
  /** Of blocks that come free, in order. */
  readonly #free: Promise<SharedArrayBuffer>[] = [];
  #unmade: number;
  #block: SharedArrayBuffer | undefined;
  #filledBytes = 0;

  /** `sizeBytes`: what is to come, so that a small file takes a small block. */
  constructor(hashing: FileHashing, sizeBytes: number) {
    this.#hashing = hashing;
    this.#blockBytes = Math.max(1, Math.min(FEED_BLOCK_BYTES, sizeBytes));
    this.#unmade = sizeBytes > FEED_BLOCK_BYTES ? BLOCKS : 1;
  }

  /** A block to fill from its start; give it back by `give`. */
  async take(): Promise<SharedArrayBuffer> {
    if (this.#unmade > 0) {
      this.#unmade -= 1;
      return new SharedArrayBuffer(this.#blockBytes);
    }
    const free = this.#free.shift();
    if (!free) throw new RangeError('all blocks are taken');
    return free;
  }

  give(block: SharedArrayBuffer, length: number): void {
    const hashed = this.#hashing.update(block, length).then(() => block);
    // Awaited when its turn comes; until then its failure is nobody's.
    hashed.catch(() => undefined);
    this.#free.push(hashed);
  }

  /** Hashes a block of the caller's own, of any size. */
  hash(block: SharedArrayBuffer, length: number): Promise<void> {
    return this.#hashing.update(block, length);
  }

  /** Hashes a chunk, or copies it; its memory may be used again when this returns. Not again before its promise resolves. */
  write(chunk: Uint8Array): Promise<void> | void {
    // Mixed use would change the order: whoever writes chunks gives no blocks.
    if (this.#hashing.direct) {
      this.#hashing.direct(chunk);
      return undefined;
    }
    const length = this.#block ? this.#copyIn(this.#block, chunk) : 0;
    return length === chunk.length ? undefined : this.#copyInLater(Buffer.from(chunk.subarray(length)));
  }

  async #copyInLater(rest: Uint8Array): Promise<void> {
    for (let at = 0; at < rest.length;) {
      this.#block ??= await this.take();
      at += this.#copyIn(this.#block, rest.subarray(at));
    }
  }

  /** @returns how much of it the block had room for */
  #copyIn(block: SharedArrayBuffer, chunk: Uint8Array): number {
    const length = Math.min(chunk.length, this.#blockBytes - this.#filledBytes);
    new Uint8Array(block, this.#filledBytes, length).set(chunk.subarray(0, length));
    this.#filledBytes += length;
    if (this.#filledBytes === this.#blockBytes) this.#flush();
    return length;
  }

  #flush(): void {
    if (!this.#block) return;
    this.give(this.#block, this.#filledBytes);
    this.#block = undefined;
    this.#filledBytes = 0;
  }

  async finish(): Promise<Checksums> {
    this.#flush();
    await Promise.all(this.#free);
    return this.#hashing.finish();
  }

  drop(): void {
    this.#hashing.drop();
  }
}
