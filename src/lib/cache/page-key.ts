// How a page names its records in the segment log: the group is the file (namespace, path, identity), the item is the
// page and the run of granules. Pure; used by the store, its index, status and check.
import { granuleCount, GRANULE_BYTES, type Page } from '../page/page.ts';

/** `kind` of a record that holds granules of one page; other kinds in a segment are passed over. */
export const PAGE_RECORD_KIND = 1;
/** Index entries count granules in 16 bits: pages past 8 GiB are not cached. */
const GRANULES_MAX = 0xffff;
/** Of an encoded item. */
export const ITEM_BYTES = 25;

export interface FileName {
  readonly ns: string;
  readonly path: string;
  readonly identity: string;
}

/** What a record says of its page and of the granules it holds. */
export interface PageItem {
  readonly pageId: number;
  readonly off: number;
  readonly len: number;
  /** The manifest's; 0 where it has none. */
  readonly crc32c: number;
  readonly firstGranule: number;
  readonly checked: boolean;
}

/** group = for each of ns, path, identity: u16 length, UTF-8 bytes. */
function encodeGroup(file: FileName): Buffer {
  const parts = [file.ns, file.path, file.identity].map((text) => Buffer.from(text));
  return Buffer.concat(parts.flatMap((part) => [Buffer.from([part.length & 0xff, part.length >>> 8]), part]));
}

export function decodeGroup(group: Buffer): FileName | undefined {
  const texts: string[] = [];
  let at = 0;
  while (at + 2 <= group.length) {
    const end = at + 2 + group.readUInt16LE(at);
    if (end > group.length) return undefined;
    texts.push(group.toString('utf8', at + 2, end));
    at = end;
  }
  const [ns, path, identity] = texts;
  if (at !== group.length || texts.length !== 3) return undefined;
  return { ns: ns!, path: path!, identity: identity! };
}

/** item = u32 page id, u64 offset in the file, u32 length, u32 manifest CRC, u32 first granule, u8 1 if checked. */
export function encodeItem(item: PageItem): Buffer {
  const bytes = Buffer.alloc(ITEM_BYTES);
  bytes.writeUInt32LE(item.pageId, 0);
  bytes.writeBigUInt64LE(BigInt(item.off), 4);
  bytes.writeUInt32LE(item.len, 12);
  bytes.writeUInt32LE(item.crc32c, 16);
  bytes.writeUInt32LE(item.firstGranule, 20);
  bytes.writeUInt8(item.checked ? 1 : 0, 24);
  return bytes;
}

/** Undefined where the item is no page's, or the payload cannot be granules of it. */
export function decodeItem(item: Buffer, payloadBytes: number): PageItem | undefined {
  if (item.length !== ITEM_BYTES) return undefined;
  const off = item.readUInt32LE(4) + item.readUInt32LE(8) * 2 ** 32;
  const len = item.readUInt32LE(12);
  const firstGranule = item.readUInt32LE(20);
  const start = firstGranule * GRANULE_BYTES;
  const end = start + payloadBytes;
  if (!Number.isSafeInteger(off) || payloadBytes === 0 || end > len) return undefined;
  if (end !== len && payloadBytes % GRANULE_BYTES !== 0) return undefined;
  if (Math.ceil(end / GRANULE_BYTES) > GRANULES_MAX) return undefined;
  const checked = item.readUInt8(24) === 1;
  return { pageId: item.readUInt32LE(0), off, len, crc32c: item.readUInt32LE(16), firstGranule, checked };
}

/** Whether the page fits the fields of a record and of the index; the few that do not are read through. */
export function isCacheable(page: Page): boolean {
  return page.pageId <= 0xffff_ffff && page.len > 0 && granuleCount(page) <= GRANULES_MAX;
}

export function itemOf(page: Page, firstGranule: number): PageItem {
  const { pageId, off, len } = page;
  const checked = page.kind === 'checked';
  return { pageId, off, len, crc32c: checked ? page.crc32c : 0, firstGranule, checked };
}

/** Does a record of this item hold the very page that the manifest speaks of? */
export function itemFits(item: PageItem, page: Page): boolean {
  const wanted = itemOf(page, item.firstGranule);
  return (
    item.pageId === wanted.pageId &&
    item.off === wanted.off &&
    item.len === wanted.len &&
    item.crc32c === wanted.crc32c &&
    item.checked === wanted.checked
  );
}

/** 64 bits of a group, as two unsigned words: the index finds a file by them, the record's own key decides. */
export interface FileHash {
  readonly lo: number;
  readonly hi: number;
}

export function hashGroup(group: Uint8Array): FileHash {
  let lo = 0x9e3779b9 ^ group.length;
  let hi = 0x85ebca6b;
  for (let at = 0; at < group.length; at += 1) {
    const byte = group[at]!;
    lo = Math.imul(lo ^ byte, 0x01000193);
    hi = Math.imul(hi ^ byte, 0x5bd1e995) ^ (hi >>> 15);
  }
  lo = Math.imul(lo ^ (lo >>> 16) ^ hi, 0x2c1b3c6d);
  hi = Math.imul(hi ^ (hi >>> 15) ^ lo, 0x297a2d39);
  return { lo: (lo ^ (lo >>> 15)) >>> 0, hi: (hi ^ (hi >>> 16)) >>> 0 };
}

/** The hash by which the index knows the file. */
export function hashFile(file: FileName): FileHash {
  return hashGroup(encodeGroup(file));
}

export interface FileKey extends FileName, FileHash {
  readonly group: Buffer;
}

/** Undefined where the group is no page's. */
export function fileKeyOf(group: Buffer): FileKey | undefined {
  const name = decodeGroup(group);
  return name && { ...name, ...hashGroup(group), group };
}

/** Keys of the files in use, so that a lookup neither encodes nor hashes. */
export class FileKeys {
  readonly #byPath = new Map<string, FileKey>();

  of(file: FileName): FileKey {
    const known = this.#byPath.get(file.path);
    if (known && known.identity === file.identity && known.ns === file.ns) return known;
    if (this.#byPath.size >= 4096) this.#byPath.clear();
    const group = encodeGroup(file);
    const key = { ns: file.ns, path: file.path, identity: file.identity, group, ...hashGroup(group) };
    this.#byPath.set(file.path, key);
    return key;
  }
}
