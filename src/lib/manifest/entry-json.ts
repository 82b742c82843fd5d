// One entry of `files` between its JSON and FileEntry: strict on what readers need, tolerant of fields that it does
// not know, which it keeps. Granule CRCs travel as base64 of little-endian 32-bit words. Pure.
import { SeekfsError } from '../base/errors.ts';
import { granuleCount } from '../page/page.ts';
import { KEY_BYTES_MAX, pathFault } from './key-layout.ts';
import type { FileEntry, JsonFields, PageEntry, StorageLocation } from './types.ts';

const ETAG_LENGTH_MAX = 1024;
const CRC_MAX = 0xffff_ffff;
const HASH = /^sha256:[0-9a-f]{64}$/;

function invalid(what: string): SeekfsError {
  return new SeekfsError('manifest_invalid', `the manifest is malformed: ${what}`);
}

/** For messages: hostile names are quoted and cut. */
function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

export function parseObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${what} is no object`);
  return value as Record<string, unknown>;
}

/** A whole number in [min, max]. */
export function parseInteger(value: unknown, what: string, bounds: { min: number; max?: number }): number {
  const { min, max = Number.MAX_SAFE_INTEGER } = bounds;
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
    throw invalid(`${what} is ${quote(value)}, it must be a whole number from ${min} to ${max}`);
  }
  return value as number;
}

export function parseText(value: unknown, what: string, lengthMax: number): string {
  if (typeof value !== 'string') throw invalid(`${what} is ${quote(value)}, it must be a string`);
  if (value.length > lengthMax) throw invalid(`${what} is longer than ${lengthMax}`);
  return value;
}

export function parseDigest(value: unknown, what: string): string {
  const digest = parseText(value, what, 128).toLowerCase();
  if (!HASH.test(digest)) throw invalid(`${what} is ${quote(value)}, it must be "sha256:" and 64 hex digits`);
  return digest;
}

export function parsePath(value: unknown, what: string): string {
  const path = parseText(value, what, KEY_BYTES_MAX);
  const fault = pathFault(path);
  if (fault) throw invalid(`${what} ${quote(path)} is no path of a file: ${fault}`);
  return path;
}

/** What is left of `fields` without the names that we know; undefined where nothing is. */
function unknownFields(fields: Record<string, unknown>, known: ReadonlySet<string>): JsonFields | undefined {
  let rest: [string, unknown][] | undefined;
  for (const name of Object.keys(fields)) if (!known.has(name)) (rest ??= []).push([name, fields[name]]);
  // fromEntries defines properties, so that a field named __proto__ stays a field.
  return rest && Object.fromEntries(rest);
}

const ENTRY_FIELDS: ReadonlySet<string> = new Set([
  'path',
  'size',
  'hash',
  'page_table',
  'storage',
  'granule_crc32c',
  'mtime_ms',
]);
const STORAGE_FIELDS: ReadonlySet<string> = new Set(['key', 'etag', 'sse', 'off']);

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function parsePages(value: unknown, path: string, sizeBytes: number): PageEntry[] {
  if (!Array.isArray(value)) throw invalid(`the page table of ${quote(path)} is no array`);
  const pages = value.map((element: unknown): PageEntry => {
    const page = parseObject(element, `a page of ${quote(path)}`);
    return {
      pageId: parseInteger(page['page_id'], `a page id of ${quote(path)}`, { min: 0 }),
      off: parseInteger(page['off'], `a page offset of ${quote(path)}`, { min: 0, max: sizeBytes }),
      len: parseInteger(page['len'], `a page length of ${quote(path)}`, { min: 0, max: sizeBytes }),
      crc32c: isGiven(page['crc32c'])
        ? parseInteger(page['crc32c'], `a page CRC of ${quote(path)}`, { min: 0, max: CRC_MAX })
        : undefined,
    };
  });
  // The seed may give an empty file one empty page.
  if (sizeBytes === 0 && pages.length <= 1) return [];
  for (let index = 1; index < pages.length; index += 1) {
    if (pages[index]!.off < pages[index - 1]!.off) {
      pages.sort((a, b) => a.off - b.off);
      break;
    }
  }
  let covered = 0;
  for (const page of pages) {
    if (page.off !== covered || page.len === 0) {
      throw invalid(
        `the page table of ${quote(path)} does not cover the file: page ${page.pageId} covers ` +
          `[${page.off}, ${page.off + page.len}), byte ${covered} is next`,
      );
    }
    covered += page.len;
  }
  if (covered !== sizeBytes) {
    throw invalid(`the page table of ${quote(path)} covers ${covered} of ${sizeBytes} bytes`);
  }
  const ordered = pages.every((page, index) => page.pageId === index);
  if (!ordered && new Set(pages.map((page) => page.pageId)).size !== pages.length) {
    throw invalid(`a page id of ${quote(path)} is there twice`);
  }
  return pages;
}

function parseGranules(value: unknown, path: string, pages: readonly PageEntry[]): Uint32Array | undefined {
  if (!isGiven(value)) return undefined;
  const text = parseText(value, `"granule_crc32c" of ${quote(path)}`, Number.MAX_SAFE_INTEGER);
  const bytes = Buffer.from(text, 'base64');
  const granules = pages.reduce((sum, page) => sum + granuleCount(page), 0);
  if (bytes.length !== granules * 4) {
    throw invalid(`${quote(path)} has ${bytes.length} bytes of granule CRCs for ${granules} granules`);
  }
  const crcs = new Uint32Array(granules);
  for (let index = 0; index < granules; index += 1) crcs[index] = bytes.readUInt32LE(index * 4);
  return crcs;
}

/** The ETag goes into a request header. */
export function isHeaderText(text: string): boolean {
  return text.length <= ETAG_LENGTH_MAX && /^[\x20-\x7e]*$/.test(text);
}

export function isObjectKey(key: string): boolean {
  return key !== '' && !key.includes('\0') && Buffer.byteLength(key) <= KEY_BYTES_MAX;
}

/** Only what `parseEntry` leaves over: a field of the same name as one of ours would take its place. */
export function isExtra(value: unknown): value is JsonFields {
  const has = (fields: unknown, known: ReadonlySet<string>): boolean =>
    typeof fields === 'object' &&
    fields !== null &&
    !Array.isArray(fields) &&
    Object.keys(fields).every((name) => !known.has(name));
  if (typeof value !== 'object' || value === null) return false;
  const { storage = {}, ...rest } = value as Record<string, unknown>;
  return !Array.isArray(value) && has(storage, STORAGE_FIELDS) && has(rest, ENTRY_FIELDS);
}

function parseStorage(value: unknown, path: string): { storage: StorageLocation; extra: JsonFields | undefined } {
  const fields = parseObject(value, `the storage of ${quote(path)}`);
  const key = parseText(fields['key'], `the storage key of ${quote(path)}`, KEY_BYTES_MAX);
  if (!isObjectKey(key)) {
    throw invalid(`the storage key of ${quote(path)} is ${quote(key)}, which no object can have`);
  }
  const etag = isGiven(fields['etag'])
    ? parseText(fields['etag'], `the ETag of ${quote(path)}`, ETAG_LENGTH_MAX)
    : undefined;
  if (etag !== undefined && !isHeaderText(etag)) throw invalid(`the ETag of ${quote(path)} is ${quote(etag)}`);
  const sse = isGiven(fields['sse']) ? parseText(fields['sse'], `"sse" of ${quote(path)}`, ETAG_LENGTH_MAX) : undefined;
  const off = isGiven(fields['off']) ? parseInteger(fields['off'], `"off" of ${quote(path)}`, { min: 0 }) : 0;
  // An empty ETag says nothing.
  const storage = { key, etag: etag === '' ? undefined : etag, sse, off };
  return { storage, extra: unknownFields(fields, STORAGE_FIELDS) };
}

/** @throws manifest_invalid */
export function parseEntry(value: unknown): FileEntry {
  const fields = parseObject(value, 'an element of "files"');
  const path = parsePath(fields['path'], 'the path');
  const sizeBytes = parseInteger(fields['size'], `the size of ${quote(path)}`, { min: 0 });
  const hash =
    isGiven(fields['hash']) && fields['hash'] !== ''
      ? parseDigest(fields['hash'], `the hash of ${quote(path)}`)
      : undefined;
  const pages = parsePages(fields['page_table'], path, sizeBytes);
  const location = parseStorage(fields['storage'], path);
  if (location.storage.off + sizeBytes > Number.MAX_SAFE_INTEGER) throw invalid(`"off" of ${quote(path)} is too large`);
  let extra = unknownFields(fields, ENTRY_FIELDS);
  if (location.extra) extra = { ...extra, storage: location.extra };
  return {
    path,
    sizeBytes,
    hash,
    storage: location.storage,
    pages,
    granuleCrcs: parseGranules(fields['granule_crc32c'], path, pages),
    modifiedAtMs: isGiven(fields['mtime_ms'])
      ? parseInteger(fields['mtime_ms'], `"mtime_ms" of ${quote(path)}`, { min: Number.MIN_SAFE_INTEGER })
      : undefined,
    extra,
  };
}

function encodeGranules(crcs: Uint32Array): string {
  const bytes = Buffer.allocUnsafe(crcs.length * 4);
  for (const [index, crc] of crcs.entries()) bytes.writeUInt32LE(crc, index * 4);
  return bytes.toString('base64');
}

/** The JSON of the entry, one line; the seed's fields first, in the seed's order. */
export function encodeEntry(entry: FileEntry): string {
  const { storage: storageExtra, ...extra } = entry.extra ?? {};
  return JSON.stringify({
    path: entry.path,
    size: entry.sizeBytes,
    ...(entry.hash === undefined ? {} : { hash: entry.hash }),
    page_table: entry.pages.map((page) => ({
      page_id: page.pageId,
      off: page.off,
      len: page.len,
      ...(page.crc32c === undefined ? {} : { crc32c: page.crc32c }),
    })),
    storage: {
      key: entry.storage.key,
      etag: entry.storage.etag ?? null,
      sse: entry.storage.sse ?? null,
      ...(entry.storage.off === 0 ? {} : { off: entry.storage.off }),
      ...(storageExtra as JsonFields | undefined),
    },
    ...(entry.granuleCrcs ? { granule_crc32c: encodeGranules(entry.granuleCrcs) } : {}),
    ...(entry.modifiedAtMs === undefined ? {} : { mtime_ms: entry.modifiedAtMs }),
    ...extra,
  });
}
