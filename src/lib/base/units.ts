// Sizes, rates and durations: constants, and the two directions between numbers and what people write.
import { SeekfsError } from './errors.ts';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
const TIB = 1024 * GIB;

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  K: KIB,
  KB: 1000,
  KIB: KIB,
  M: MIB,
  MB: 1_000_000,
  MIB: MIB,
  G: GIB,
  GB: 1_000_000_000,
  GIB: GIB,
  T: TIB,
  TB: 1_000_000_000_000,
  TIB: TIB,
};

/**
 * Bytes from "8MiB", "64K" (binary), "1.5 GB" (decimal), "4096".
 * @throws usage when it is no size, is negative, or is no whole number of bytes within the safe integers
 */
export function parseSizeBytes(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(text);
  const unit = match ? SIZE_UNITS[match[2]!.toUpperCase()] : undefined;
  const bytes = match && unit !== undefined ? multiplyExactly(match[1]!, unit) : Number.NaN;
  if (!Number.isSafeInteger(bytes)) {
    throw new SeekfsError('usage', `"${text}" is not a size; write bytes or a number with KiB, MiB, GiB or TiB`);
  }
  return bytes;
}

/** In integers, because 2.3 * 1e6 in doubles is not the whole number that it should be. NaN where it is none. */
function multiplyExactly(decimal: string, unit: number): number {
  const [whole = '', fraction = ''] = decimal.split('.');
  const product = BigInt(whole + fraction) * BigInt(unit);
  const scale = 10n ** BigInt(fraction.length);
  return product % scale === 0n ? Number(product / scale) : Number.NaN;
}

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * Milliseconds from "250ms", "30s", "15m", "12h", "7d".
 * @throws usage when it is no duration
 */
export function parseDurationMs(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$/.exec(text);
  const durationMs = match ? multiplyExactly(match[1]!, DURATION_UNITS_MS[match[2]!]!) : Number.NaN;
  if (!Number.isSafeInteger(durationMs)) {
    throw new SeekfsError('usage', `"${text}" is not a duration; write a number with ms, s, m, h or d`);
  }
  return durationMs;
}

/** "0 B", "999 B", "1.5 KiB", "8.0 MiB". */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  // What would be written as 1024.0 belongs to the next unit.
  while (Math.abs(value) >= (unit === 0 ? 1023.5 : 1023.95) && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${Math.round(bytes)} B` : `${value.toFixed(1)} ${units[unit]}`;
}

/** "12 ms", "3.4 s", "2 min 5 s", "3 h 7 min", "4 d 2 h". */
export function formatDuration(durationMs: number): string {
  if (durationMs < 999.5) return `${Math.round(durationMs)} ms`;
  const seconds = durationMs / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const wholeSeconds = Math.round(seconds);
  const minutes = Math.floor(wholeSeconds / 60);
  if (minutes < 60) return `${minutes} min ${wholeSeconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
