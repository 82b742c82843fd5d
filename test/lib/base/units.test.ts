import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSeekfsError } from '../../../src/lib/base/errors.ts';
import { formatBytes, formatDuration, GIB, MIB, parseDurationMs, parseSizeBytes } from '../../../src/lib/base/units.ts';

function refuses(parse: () => unknown): void {
  let thrown: unknown;
  try {
    parse();
  } catch (error) {
    thrown = error;
  }
  expect(isSeekfsError(thrown, 'usage')).toBe(true);
}

describe('parseSizeBytes', () => {
  test.each([
    ['0', 0],
    ['4096', 4096],
    [' 64K ', 65_536],
    ['8MiB', 8 * MIB],
    ['8 mib', 8 * MIB],
    ['1.5 GB', 1_500_000_000],
    ['2.3MB', 2_300_000],
    ['0.5GiB', GIB / 2],
    ['1.0000B', 1],
  ])('%j is %i bytes', (text, bytes) => {
    expect(parseSizeBytes(text)).toBe(bytes);
  });

  test.each([
    '',
    'MiB',
    '-1',
    '1e3',
    '0x10',
    '1.5',
    '0.1KiB',
    '1 2',
    '1MiB2',
    '9007199254740993',
    '9000TiB',
    '1XB',
    'NaN',
  ])('%j is no size', (text) => refuses(() => parseSizeBytes(text)));

  test('every decimal with up to three digits after the point is exact', () => {
    fc.assert(
      fc.property(fc.nat(999_999), fc.nat(999), fc.constantFrom('KB', 'MB', 'GB'), (whole, milli, unit) => {
        const scale = { KB: 1n, MB: 1000n, GB: 1_000_000n }[unit];
        const text = `${whole}.${String(milli).padStart(3, '0')}${unit}`;
        expect(parseSizeBytes(text)).toBe(Number((BigInt(whole) * 1000n + BigInt(milli)) * scale));
      }),
    );
  });
});

describe('parseDurationMs', () => {
  test.each([
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5 s', 1500],
    ['15m', 900_000],
    ['12h', 43_200_000],
    ['7d', 604_800_000],
  ])('%j is %i ms', (text, durationMs) => {
    expect(parseDurationMs(text)).toBe(durationMs);
  });

  test.each(['', '5', '-5s', '5 weeks', '0.5ms', 's'])('%j is no duration', (text) =>
    refuses(() => parseDurationMs(text)),
  );
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [12.4, '12 B'],
  [1023.7, '1.0 KiB'],
  [1536, '1.5 KiB'],
  [MIB - 1, '1.0 MiB'],
  [8 * MIB, '8.0 MiB'],
  [2 ** 60, '1024.0 PiB'],
  [-2048, '-2.0 KiB'],
])('%d bytes are written %j', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0, '0 ms'],
  [12.4, '12 ms'],
  [999.9, '1.0 s'],
  [3400, '3.4 s'],
  [59_990, '1 min 0 s'],
  [125_000, '2 min 5 s'],
  [119_700, '2 min 0 s'],
  [11_220_000, '3 h 7 min'],
  [352_800_000, '4 d 2 h'],
])('%d ms are written %j', (durationMs, text) => {
  expect(formatDuration(durationMs)).toBe(text);
});
