import { expect, test } from 'vitest';
import { seededRandom } from '../../../src/lib/base/random.ts';
import { BlockFeed, FEED_BLOCK_BYTES } from '../../../src/lib/manifest/block-feed.ts';
import type { FileHashing } from '../../../src/lib/manifest/checksum-pool.ts';
import { patternBytes } from '../../support/store-bytes.ts';

const CHECKSUMS = { sha256: '', pages: [] } as never;

/** Keeps what it was to hash, and is done with a block a few turns later, as a thread is. */
function slowHashing(hashed: Buffer[]): FileHashing {
  return {
    update: async (block, length) => {
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      hashed.push(Buffer.from(new Uint8Array(block, 0, length)));
    },
    finish: () => Promise.resolve(CHECKSUMS),
    drop: () => undefined,
  };
}

test('chunks of any size are hashed in order, though their memory is overwritten as soon as they were written', async () => {
  const bytes = patternBytes({ off: 0, len: 5 * FEED_BLOCK_BYTES + 17 });
  const random = seededRandom(7);
  const hashed: Buffer[] = [];
  const feed = new BlockFeed(slowHashing(hashed), bytes.length);
  const memory = Buffer.alloc(FEED_BLOCK_BYTES * 3);
  let waited = 0;
  for (let off = 0; off < bytes.length;) {
    const length = Math.min(bytes.length - off, 1 + Math.floor(random.unit() * memory.length));
    const chunk = memory.subarray(0, length);
    chunk.set(bytes.subarray(off, off + length));
    const writing = feed.write(chunk);
    memory.fill(0xee);
    if (writing) waited += 1;
    await writing;
    off += length;
  }
  expect(await feed.finish()).toBe(CHECKSUMS);
  expect(waited).toBeGreaterThan(0);
  expect(Buffer.concat(hashed).equals(bytes)).toBe(true);
});
