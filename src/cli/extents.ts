// Extents as `readv` takes them: PATH:OFF:LEN on the command line; a JSON array as in POST /readv, or one extent a
// line (JSON or PATH:OFF:LEN), from a file.
import { readFile } from 'node:fs/promises';
import { isByteCount } from '../lib/base/byte-range.ts';
import { SeekfsError, wrapSystemError } from '../lib/base/errors.ts';
import { parseSizeBytes } from '../lib/base/units.ts';
import type { Extent } from '../lib/read/reader.ts';

/**
 * "images/1.jpg:0:4096"; sizes may have units; the path may hold colons.
 * @throws usage
 */
export function parseExtent(text: string): Extent {
  const match = /^(.+):([^:]*):([^:]*)$/s.exec(text);
  if (!match) throw new SeekfsError('usage', `"${text}" is not an extent; write PATH:OFF:LEN`);
  const [, path, off, len] = match as unknown as [string, string, string, string];
  try {
    return { path, off: parseSizeBytes(off), len: parseSizeBytes(len) };
  } catch (error) {
    throw new SeekfsError('usage', `"${text}" is not an extent: ${(error as Error).message}`, { cause: error });
  }
}

/** @throws usage, with the number of the line or extent */
export function parseExtentsText(text: string, source: string): Extent[] {
  if (text.trimStart().startsWith('[')) {
    const array = parseJson(text, source);
    if (!Array.isArray(array)) throw new SeekfsError('usage', `${source} is not a JSON array of extents`);
    return array.map((value, index) => toExtent(value, `extent ${index + 1} of ${source}`));
  }
  return text.split('\n').flatMap((line, index) => {
    const trimmed = line.trim();
    if (trimmed === '') return [];
    const where = `line ${index + 1} of ${source}`;
    return [trimmed.startsWith('{') ? toExtent(parseJson(trimmed, where), where) : parseExtent(trimmed)];
  });
}

/** @throws usage, file_not_found, access_denied */
export async function readExtents(file: string): Promise<Extent[]> {
  try {
    return parseExtentsText(await readFile(file, 'utf8'), file);
  } catch (error) {
    throw wrapSystemError(error, `read the extents from ${file}`);
  }
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SeekfsError('usage', `${where} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

function toExtent(value: unknown, where: string): Extent {
  const { path, off, len } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (typeof path !== 'string' || path === '' || !isByteCount(off) || !isByteCount(len)) {
    throw new SeekfsError('usage', `${where} is not {"path": text, "off": bytes, "len": bytes}`);
  }
  return { path, off, len };
}
