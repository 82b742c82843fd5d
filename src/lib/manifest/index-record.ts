// One file's record in the compiled index: everything of its manifest entry but the path, in as few bytes as is easy.
//
//   varint flags (below) · varint size · then what the flags say, in their order:
//   HASH 32 bytes · ETAG_HEX 16 bytes (a quoted MD5) or ETAG text · KEY text unless it follows from path and hash
//   · SSE text · OFF varint · MTIME byte sign, varint · REGULAR byte log2(page size), a CRC word a page; else varint count
//   and for each page varint id, varint length, byte 1 and a CRC word, or byte 0 · GRANULES a word each · EXTRA JSON text
import { granuleCount } from '../page/page.ts';
import type { ByteReader, ByteWriter } from './byte-cursor.ts';
import { hexOf, toDigest } from './digest.ts';
import { isExtra, isHeaderText, isObjectKey } from './entry-json.ts';
import { contentKey, fileKey, pathFault } from './key-layout.ts';
import type { FileEntry, JsonFields, PageEntry } from './types.ts';

const HASH = 1;
const ETAG = 2;
const ETAG_HEX = 4;
const KEY_OF_PATH = 8;
const KEY_OF_CONTENT = 16;
const SSE = 32;
const OFF = 64;
const MTIME = 128;
const REGULAR = 256;
const GRANULES = 512;
const EXTRA = 1024;

const QUOTED_MD5 = /^"[0-9a-f]{32}"$/;
const SSE_LENGTH_MAX = 1024;

/** log2 of the page size where all pages but the last have it and all have CRCs; undefined where not. */
function regularPageLog2(pages: readonly PageEntry[]): number | undefined {
  const first = pages[0];
  if (!first) return 0;
  const log2 = Math.ceil(Math.log2(first.len));
  const pageSizeBytes = 2 ** log2;
  if (pages.length > 1 && first.len !== pageSizeBytes) return undefined;
  const isRegular = pages.every(
    (page, index) =>
      page.pageId === index &&
      page.crc32c !== undefined &&
      (index === pages.length - 1 ? page.len <= pageSizeBytes : page.len === pageSizeBytes),
  );
  return isRegular ? log2 : undefined;
}

export function encodeRecord(writer: ByteWriter, ns: string, entry: FileEntry): void {
  const { path, hash, storage, pages, granuleCrcs, modifiedAtMs, extra } = entry;
  const { key, etag, sse, off } = storage;
  const isMd5 = etag !== undefined && QUOTED_MD5.test(etag);
  const isOfPath = key === fileKey(ns, path);
  const isOfContent = !isOfPath && hash !== undefined && key === contentKey(ns, path, hexOf(hash));
  const pageLog2 = regularPageLog2(pages);
  let flags = 0;
  if (hash !== undefined) flags |= HASH;
  if (etag !== undefined) flags |= isMd5 ? ETAG_HEX : ETAG;
  if (isOfPath) flags |= KEY_OF_PATH;
  if (isOfContent) flags |= KEY_OF_CONTENT;
  if (sse !== undefined) flags |= SSE;
  if (off !== 0) flags |= OFF;
  if (modifiedAtMs !== undefined) flags |= MTIME;
  if (pageLog2 !== undefined) flags |= REGULAR;
  if (granuleCrcs) flags |= GRANULES;
  if (extra) flags |= EXTRA;
  writer.varint(flags);
  writer.varint(entry.sizeBytes);
  if (hash !== undefined) writer.hex(hexOf(hash));
  if (etag !== undefined) {
    if (isMd5) writer.hex(etag.slice(1, -1));
    else writer.text(etag);
  }
  if (!isOfPath && !isOfContent) writer.text(key);
  if (sse !== undefined) writer.text(sse);
  if (off !== 0) writer.varint(off);
  if (modifiedAtMs !== undefined) {
    // The sign apart: doubling a large number would lose a bit.
    writer.byte(modifiedAtMs < 0 ? 1 : 0);
    writer.varint(Math.abs(modifiedAtMs));
  }
  if (pageLog2 !== undefined) {
    writer.byte(pageLog2);
    for (const page of pages) writer.word(page.crc32c!);
  } else {
    writer.varint(pages.length);
    for (const { pageId, len, crc32c } of pages) {
      writer.varint(pageId);
      writer.varint(len);
      writer.byte(crc32c === undefined ? 0 : 1);
      if (crc32c !== undefined) writer.word(crc32c);
    }
  }
  if (granuleCrcs) writer.words(granuleCrcs);
  if (extra) writer.text(JSON.stringify(extra));
}

/**
 * The rules of `parseEntry`: an index that was published beside a manifest may have been written by anybody.
 * @throws RangeError, SyntaxError where the bytes are no record
 */
export function decodeRecord(reader: ByteReader, ns: string, path: string): FileEntry {
  const entry = decodeFields(reader, ns, path);
  const { key, etag, sse, off } = entry.storage;
  const isSound =
    reader.isAtEnd &&
    pathFault(path) === undefined &&
    isObjectKey(key) &&
    etag !== '' &&
    isHeaderText(etag ?? '') &&
    (sse ?? '').length <= SSE_LENGTH_MAX &&
    off + entry.sizeBytes <= Number.MAX_SAFE_INTEGER &&
    (entry.extra === undefined || isExtra(entry.extra));
  if (!isSound) throw new RangeError('no entry');
  return entry;
}

function decodeFields(reader: ByteReader, ns: string, path: string): FileEntry {
  const flags = reader.varint();
  const sizeBytes = reader.varint();
  const hex = flags & HASH ? reader.hex(32) : undefined;
  if (flags & KEY_OF_CONTENT && hex === undefined) throw new RangeError('no hash');
  const etag = flags & ETAG_HEX ? `"${reader.hex(16)}"` : flags & ETAG ? reader.text() : undefined;
  const key =
    flags & KEY_OF_PATH ? fileKey(ns, path) : flags & KEY_OF_CONTENT ? contentKey(ns, path, hex ?? '') : reader.text();
  const sse = flags & SSE ? reader.text() : undefined;
  const off = flags & OFF ? reader.varint() : 0;
  const modifiedAtMs = flags & MTIME ? (reader.byte() === 1 ? -1 : 1) * reader.varint() : undefined;
  const pages = flags & REGULAR ? decodeRegularPages(reader, sizeBytes) : decodePages(reader, sizeBytes);
  const granules = flags & GRANULES ? pages.reduce((sum, page) => sum + granuleCount(page), 0) : 0;
  return {
    path,
    sizeBytes,
    hash: hex === undefined ? undefined : toDigest(hex),
    storage: { key, etag, sse, off },
    pages,
    granuleCrcs: flags & GRANULES ? reader.words(granules) : undefined,
    modifiedAtMs,
    extra: flags & EXTRA ? (JSON.parse(reader.text()) as JsonFields) : undefined,
  };
}

function decodeRegularPages(reader: ByteReader, sizeBytes: number): PageEntry[] {
  const pageSizeBytes = 2 ** reader.byte();
  const pages: PageEntry[] = [];
  for (let off = 0; off < sizeBytes; off += pageSizeBytes) {
    const len = Math.min(pageSizeBytes, sizeBytes - off);
    pages.push({ pageId: pages.length, off, len, crc32c: reader.word() });
  }
  return pages;
}

function decodePages(reader: ByteReader, sizeBytes: number): PageEntry[] {
  const count = reader.varint();
  const pages: PageEntry[] = [];
  let off = 0;
  for (let index = 0; index < count; index += 1) {
    const pageId = reader.varint();
    const len = reader.varint();
    pages.push({ pageId, off, len, crc32c: reader.byte() === 1 ? reader.word() : undefined });
    off += len;
    if (len === 0) throw new RangeError('empty page');
  }
  const isOrdered = pages.every((page, index) => page.pageId === index);
  if (off !== sizeBytes || !(isOrdered || new Set(pages.map((page) => page.pageId)).size === pages.length)) {
    throw new RangeError('page table');
  }
  return pages;
}
