import { describe, expect, test } from 'vitest';
import { parseRange } from '../../../src/lib/blobapi/http-range.ts';

const ranges = (...pairs: [number, number][]) => ({
  kind: 'ranges',
  ranges: pairs.map(([off, len]) => ({ off, len })),
});
const WHOLE = { kind: 'whole' };
const UNSATISFIABLE = { kind: 'unsatisfiable' };

describe('of 100 bytes', () => {
  test.each([
    ['bytes=0-9', ranges([0, 10])],
    ['bytes=90-', ranges([90, 10])],
    ['bytes=90-1000', ranges([90, 10])],
    ['bytes=-7', ranges([93, 7])],
    ['bytes=-1000', ranges([0, 100])],
    ['bytes=99-99', ranges([99, 1])],
    ['BYTES=0-9', ranges([0, 10])],
    [' bytes= 0-9 ', ranges([0, 10])],
    ['bytes=0-9,,20-29', ranges([0, 10], [20, 10])],
    ['bytes=0-9, 100-', ranges([0, 10])],
    ['bytes=100-', UNSATISFIABLE],
    ['bytes=-0', UNSATISFIABLE],
    ['bytes=0-0,2-2,4-4,6-6', UNSATISFIABLE],
    ['bytes=9-0', WHOLE],
    ['bytes=-', WHOLE],
    ['bytes=--', WHOLE],
    ['bytes=1-2-3', WHOLE],
    ['bytes=12', WHOLE],
    ['bytes=', WHOLE],
    ['bytes=,', WHOLE],
    ['bytes=a-b', WHOLE],
    ['items=0-9', WHOLE],
    ['bytes=0-80,20-99', WHOLE],
  ])('%s', (header, expected) => {
    expect(parseRange(header, { sizeBytes: 100, rangesMax: 3 })).toEqual(expected);
  });
});

test('of nothing everything is the whole', () => {
  for (const header of ['bytes=0-9', 'bytes=-5', 'bytes=0-, 1-']) {
    expect(parseRange(header, { sizeBytes: 0, rangesMax: 3 })).toEqual(WHOLE);
  }
});
