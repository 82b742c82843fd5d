import { expect, test } from 'vitest';
import { loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import { FooterWriter } from '../../../src/lib/segment/footer-writer.ts';
import type { RecordEntry } from '../../../src/lib/segment/format.ts';
import { encodeFooter } from '../../support/footer.ts';

await loadCrc32c();

const PLACE = { segmentId: Buffer.alloc(16, 5), offset: 1_000_000 };

function entryOf(offset: number, group: string): RecordEntry {
  return { offset, headBytes: 2, payloadBytes: 1, group: Buffer.from(group), item: Buffer.from('item') };
}

test('a name that many records share is written once, also when others come between', () => {
  const entries = Array.from({ length: 4000 }, (_, record) => entryOf(record, `name-${record % 1000}`));
  const once = Array.from({ length: 1000 }, (_, record) => entryOf(record, `name-${record}`));
  const more = encodeFooter(entries, PLACE).length - encodeFooter(once, PLACE).length;
  expect(more).toBe(3000 * (18 + 4));
});

test('what a record of a new name takes is what was reserved for it: length, name, and its entry', () => {
  const footer = new FooterWriter();
  const bytes = (): number => footer.finish(PLACE).reduce((sum, piece) => sum + piece.length, 0);
  for (let record = 0; record < 10_000; record += 1) footer.add(entryOf(record, `name-${record + 10_000}`));
  const before = bytes();
  // Long forgotten, and so written again.
  footer.add(entryOf(10_000, 'name-10000'));
  expect(bytes() - before).toBe(18 + 4 + 2 + 'name-10000'.length);
  expect(footer.records).toBe(10_001);
});
