// The footer of records that a test has at hand, in one piece.
import { FooterWriter } from '../../src/lib/segment/footer-writer.ts';
import type { RecordEntry } from '../../src/lib/segment/format.ts';

export function encodeFooter(
  entries: readonly RecordEntry[],
  place: { readonly segmentId: Buffer; readonly offset: number },
): Buffer {
  const footer = new FooterWriter();
  for (const entry of entries) footer.add(entry);
  return Buffer.concat(footer.finish(place));
}
