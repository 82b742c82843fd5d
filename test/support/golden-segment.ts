// The content of test/golden/segment/v1.seg: two records of one file, written in fixed circumstances.
import { crc32c, loadCrc32c } from '../../src/lib/base/crc32c.ts';
import { encodeItem, FileKeys, itemOf, PAGE_RECORD_KIND } from '../../src/lib/cache/page-key.ts';
import type { Disk } from '../../src/lib/disk/disk.ts';
import type { CheckedPage } from '../../src/lib/page/page.ts';
import { SegmentWriter } from '../../src/lib/segment/writer.ts';

await loadCrc32c();

const GOLDEN_ID = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');

export const GOLDEN_PAGES: readonly { readonly page: CheckedPage; readonly bytes: Buffer }[] = ['first', 'second'].map(
  (word, pageId) => {
    const bytes = Buffer.from(`the ${word} page\n`.padEnd(16, '.'));
    const base = { kind: 'checked', ns: 'dev', path: 'a.bin', identity: 'sha256:00ff' } as const;
    return { page: { ...base, pageId, off: pageId * 16, len: bytes.length, crc32c: crc32c(bytes) }, bytes };
  },
);

/** Writes the golden segment into the directory, sealed. */
export async function writeGoldenSegment(disk: Disk, directoryPath: string): Promise<void> {
  const keys = new FileKeys();
  const writer = await SegmentWriter.create({
    disk,
    directoryPath,
    id: GOLDEN_ID,
    reservedBytes: 1_048_576,
    owner: 'golden',
    nowMs: 1_700_000_000_000,
  });
  for (const { page, bytes } of GOLDEN_PAGES) {
    const record = {
      kind: PAGE_RECORD_KIND,
      group: keys.of(page).group,
      item: encodeItem(itemOf(page, 0)),
      payloadBytes: bytes.length,
      writtenAtMs: 1_700_000_000_001,
      blockCrcs: Uint32Array.of(crc32c(bytes)),
    };
    await writer.append([{ record, payload: [bytes] }]);
  }
  await writer.seal({ durable: true });
}
