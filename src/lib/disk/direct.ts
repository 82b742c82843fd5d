// What part of a write can go past the operating system's page cache (O_DIRECT): whole blocks of the file that lie in whole
// pages of memory. Pure; for NodeFile.
import { ALIGNMENT_BYTES, isPageAligned } from '../base/page-aligned.ts';

/** The buffers, as far as they can all be written the same way; `position` is that of the first in the file. */
export function leadingPart(
  buffers: readonly Uint8Array[],
  position: number,
): { readonly direct: boolean; readonly buffers: Uint8Array[] } {
  const part: Uint8Array[] = [];
  let isDirect: boolean | undefined;
  let at = position;
  for (const buffer of buffers) {
    const isAligned = at % ALIGNMENT_BYTES === 0 && isPageAligned(buffer);
    const blocksBytes = isAligned ? buffer.byteLength - (buffer.byteLength % ALIGNMENT_BYTES) : 0;
    isDirect ??= blocksBytes > 0;
    if (isDirect !== blocksBytes > 0) break;
    part.push(isDirect ? buffer.subarray(0, blocksBytes) : buffer);
    // What is left over of a buffer ends the part: the next one begins between two blocks.
    at += buffer.byteLength;
  }
  return { direct: isDirect ?? false, buffers: part };
}
