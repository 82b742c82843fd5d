// Lines of a journal, each behind its CRC32C: what a crash tore or a disk spoiled is passed over. Shared by the journals of
// `manifest gen` and `put`; knows nothing of what the lines say.
import { readFile } from 'node:fs/promises';
import { crc32c } from '../base/crc32c.ts';
import { systemErrorCode } from '../base/errors.ts';

function checksum(text: string): string {
  return crc32c(Buffer.from(text)).toString(16).padStart(8, '0');
}

/** With its line end; `text` has none. `loadCrc32c` must have resolved. */
export function encodeLine(text: string): string {
  return `${checksum(text)} ${text}\n`;
}

/** The text of a line, or undefined where it is not as it was written. */
export function parseLine(line: string): string | undefined {
  const text = line.slice(9);
  return text !== '' && line.slice(0, 8) === checksum(text) ? text : undefined;
}

/** The file's lines as they are; none where there is no file. */
export async function readLines(path: string): Promise<string[]> {
  try {
    return (await readFile(path, 'utf8')).split('\n');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
