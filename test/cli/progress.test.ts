// What a progress bar says.
import { expect, test } from 'vitest';
import { progressText } from '../../src/cli/progress.ts';

const MIB = 2 ** 20;

test('bytes, rate, time left and GETs', () => {
  expect(progressText({ doneBytes: 25 * MIB, totalBytes: 100 * MIB }, 5000, 7)).toBe(
    '25.0 MiB of 100.0 MiB · 5.0 MiB/s · 15.0 s left · 7 GETs',
  );
});

test('without a total there is no time left, and a note comes last', () => {
  expect(progressText({ doneBytes: MIB, note: '3 files' }, 1000, 0)).toBe('1.0 MiB · 1.0 MiB/s · 0 GETs · 3 files');
});

test('the start divides by nothing', () => {
  expect(progressText({ doneBytes: 0, totalBytes: MIB }, 0, 0)).toBe('0 B of 1.0 MiB · 0 B/s · 0 GETs');
});
