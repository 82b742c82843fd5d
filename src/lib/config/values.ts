// One setting's value: from what a file, the environment or a flag gives to the type of its row, or a reason why not.
import { isSeekfsError } from '../base/errors.ts';
import { parseSizeBytes } from '../base/units.ts';
import type { SettingRow } from './schema.ts';

export type Parsed = { readonly value: string | number | boolean } | { readonly problem: string };

/** A value with TOML's own types. A size is a number in the key's unit or a string with a unit of its own. */
export function parseTomlValue(row: SettingRow, raw: unknown): Parsed {
  const found = typeOf(raw);
  switch (row.kind) {
    case 'size':
      if (typeof raw === 'number') return inBounds(row, Math.round(raw * row.unitBytes));
      if (typeof raw === 'string') return parseSizeText(row, raw);
      return { problem: `must be a number or a size such as "512MiB", not ${found}` };
    case 'count':
      if (typeof raw === 'number' && Number.isInteger(raw)) return inBounds(row, raw);
      return { problem: `must be a whole number, not ${found}` };
    case 'decimal':
      return typeof raw === 'number' ? atLeast(row, raw) : { problem: `must be a number, not ${found}` };
    case 'flag':
      return typeof raw === 'boolean' ? { value: raw } : { problem: `must be true or false, not ${found}` };
    case 'choice':
      return typeof raw === 'string'
        ? parseChoice(row, raw)
        : { problem: `must be one of ${quoted(row.choices)}, not ${found}` };
    case 'text':
      // The value is not repeated: it may be a secret.
      if (typeof raw !== 'string')
        return { problem: `must be a string, not ${Array.isArray(raw) ? 'an array' : `a ${typeof raw}`}` };
      return raw === '' ? { problem: 'must not be empty' } : { value: raw };
  }
}

/** A value of an environment variable or a flag: text only. */
export function parseTextValue(row: SettingRow, raw: string): Parsed {
  switch (row.kind) {
    case 'size':
      return /^\s*\d+(\.\d+)?\s*$/.test(raw)
        ? inBounds(row, Math.round(Number(raw) * row.unitBytes))
        : parseSizeText(row, raw);
    case 'count':
      return /^\d+$/.test(raw) ? inBounds(row, Number(raw)) : { problem: `must be a whole number, not "${raw}"` };
    case 'decimal':
      return /^\s*\d+(\.\d+)?\s*$/.test(raw)
        ? atLeast(row, Number(raw))
        : { problem: `must be a number, not "${raw}"` };
    case 'flag':
      if (/^(true|1|yes|on)$/i.test(raw)) return { value: true };
      if (/^(false|0|no|off)$/i.test(raw)) return { value: false };
      return { problem: `must be true or false, not "${raw}"` };
    case 'choice':
    case 'text':
      return parseTomlValue(row, raw);
  }
}

function parseSizeText(row: SettingRow & { kind: 'size' }, raw: string): Parsed {
  if (!/[A-Za-z]/.test(raw))
    return { problem: `must be a number, or a size with a unit such as "512MiB", not "${raw}"` };
  try {
    return inBounds(row, parseSizeBytes(raw));
  } catch (error) {
    if (isSeekfsError(error, 'usage')) return { problem: `has a bad unit: ${error.message}` };
    throw error;
  }
}

function inBounds(row: SettingRow & { kind: 'size' | 'count' }, value: number): Parsed {
  const unit = row.kind === 'size' ? row.unitBytes : 1;
  if (!Number.isSafeInteger(value)) return { problem: 'must be a finite number that is not too large' };
  if (value < row.min) return { problem: `must be at least ${row.min / unit}, is ${value / unit}` };
  if (row.max !== undefined && value > row.max) {
    return { problem: `must be at most ${row.max / unit}, is ${value / unit}` };
  }
  return { value };
}

function atLeast(row: SettingRow & { kind: 'decimal' }, value: number): Parsed {
  if (!Number.isFinite(value)) return { problem: 'must be a finite number' };
  return value < row.min ? { problem: `must be at least ${row.min}, is ${value}` } : { value };
}

function parseChoice(row: SettingRow & { kind: 'choice' }, raw: string): Parsed {
  const choice = row.choiceAliases?.[raw] ?? raw;
  if (row.choices.includes(choice)) return { value: choice };
  return { problem: `must be one of ${quoted(row.choices)}, not "${raw}"` };
}

function quoted(choices: readonly string[]): string {
  return choices.map((choice) => `"${choice}"`).join(', ');
}

function typeOf(raw: unknown): string {
  if (Array.isArray(raw)) return 'an array';
  if (typeof raw === 'string') return `the string "${raw}"`;
  if (typeof raw === 'number' || typeof raw === 'bigint' || typeof raw === 'boolean') return String(raw);
  return raw instanceof Date ? 'a date' : 'a table';
}
