import { expect, test } from 'vitest';
import { pageHash } from '../../../../src/lib/cache/policy/page-hash.ts';

test('200,000 pages of a thousand files share hashes no more often than chance has it', () => {
  const hashes = new Set<number>();
  for (let file = 0; file < 1000; file += 1) {
    const name = {
      ns: 'n',
      path: `train/shard-${file}.tar`,
      identity: `sha256:${file.toString(16).padStart(64, '0')}`,
    };
    for (let pageId = 0; pageId < 200; pageId += 1) hashes.add(pageHash({ ...name, pageId }));
  }
  // Expected: n²/2³³ = 5 collisions.
  expect(200_000 - hashes.size).toBeLessThan(20);
});
