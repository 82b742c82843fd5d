// seekfs.toml as text to a flat list of named values with their lines. Knows TOML, not what the keys mean.
import { createRequire } from 'node:module';
import type * as SmolToml from 'smol-toml';
import { SeekfsError } from '../base/errors.ts';

const require = createRequire(import.meta.url);

export interface TomlSetting {
  /** Dotted: "cache.l2.backend". */
  readonly name: string;
  readonly value: unknown;
  /** From 1; undefined where the key is written in a way that the line scan does not follow. */
  readonly line: number | undefined;
}

/**
 * The leaves of the document in its order; empty tables are left out.
 * @throws config_invalid with file and line
 */
export function parseTomlSettings(text: string, file: string): TomlSetting[] {
  // Imported, it would be ten modules, which a warm `cat` would wait for.
  const { parse, TomlError, TomlDate } = require('smol-toml') as typeof SmolToml;
  let document: Record<string, unknown>;
  try {
    document = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.split('\n')[0]!.replace(/^Invalid TOML document: /, '');
    throw new SeekfsError('config_invalid', `${file}:${error.line}: not valid TOML: ${reason}`, {
      details: { file, line: error.line },
    });
  }
  const lines = linesOfKeys(text);
  const settings: TomlSetting[] = [];
  const walk = (table: Record<string, unknown>, prefix: string): void => {
    for (const [key, value] of Object.entries(table)) {
      const name = prefix + key;
      if (typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof TomlDate)) {
        if (Object.keys(value).length === 0) settings.push({ name, value, line: lines.get(name) });
        walk(value as Record<string, unknown>, `${name}.`);
      } else {
        settings.push({ name, value, line: lines.get(name) });
      }
    }
  };
  walk(document, '');
  return settings;
}

/** Where each key and table begins. A scan of valid TOML, for messages only: it may miss exotic spellings. */
function linesOfKeys(text: string): Map<string, number> {
  const lines = new Map<string, number>();
  let table = '';
  for (const [index, line] of text.split('\n').entries()) {
    const header = /^\s*\[\[?\s*([^\]]+?)\s*\]/.exec(line);
    const key = /^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=/.exec(line);
    const name = bare(header?.[1] ?? key?.[1] ?? '');
    if (header) table = `${name}.`;
    const full = header ? name : table + name;
    if (name !== '' && !lines.has(full)) lines.set(full, index + 1);
    // The keys of `cache = { policy = … }` stand on the line of the outer one.
    const inline = key && /=\s*\{(.*)\}/.exec(line)?.[1];
    for (const [, inner] of inline?.matchAll(/(?:^|,)\s*([\w-]+)\s*=/g) ?? []) lines.set(`${full}.${inner}`, index + 1);
  }
  return lines;
}

function bare(dotted: string): string {
  return dotted
    .split('.')
    .map((part) => part.trim().replaceAll(/^["']|["']$/g, ''))
    .join('.');
}
