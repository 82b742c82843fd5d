import { expect, test } from 'vitest';
import { loadCrc32c } from '../../../src/lib/base/crc32c.ts';
import {
  decodeGroup,
  decodeItem,
  encodeItem,
  FileKeys,
  itemFits,
  itemOf,
  type PageItem,
} from '../../../src/lib/cache/page-key.ts';
import { GRANULE_BYTES } from '../../../src/lib/page/page.ts';
import { testPage } from '../../support/segment-store.ts';

await loadCrc32c();

const { page } = testPage({ pageId: 3, len: 2 * GRANULE_BYTES + 100 });

test('a record holds the page that it was written for', () => {
  expect(itemFits(itemOf(page, 1), page)).toBe(true);
});

test.each([
  ['page id', { pageId: 4 }],
  ['offset', { off: page.off + 1 }],
  ['length', { len: page.len - 1 }],
  ['CRC', { crc32c: page.crc32c ^ 1 }],
  ['kind of page', { checked: false }],
] satisfies [string, Partial<PageItem>][])('a record of another %s is no record of the page', (_, change) => {
  expect(itemFits({ ...itemOf(page, 1), ...change }, page)).toBe(false);
});

test('an item is read as it was written, and only with a payload that can be its granules', () => {
  const item = itemOf(page, 1);
  const bytes = encodeItem(item);
  expect(decodeItem(bytes, GRANULE_BYTES + 100)).toEqual(item);
  expect(decodeItem(bytes, GRANULE_BYTES)).toEqual(item);
  for (const payloadBytes of [0, GRANULE_BYTES + 99, GRANULE_BYTES + 101, 2 * GRANULE_BYTES]) {
    expect(decodeItem(bytes, payloadBytes)).toBeUndefined();
  }
  expect(decodeItem(bytes.subarray(1), GRANULE_BYTES)).toBeUndefined();
});

test('names that are cut differently are different files', () => {
  const keys = new FileKeys();
  const files = [
    { ns: 'a', path: 'bc', identity: 'd' },
    { ns: 'ab', path: 'c', identity: 'd' },
    { ns: 'a', path: 'b', identity: 'cd' },
  ];
  const groups = files.map((file) => keys.of(file).group);
  expect(new Set(groups.map((group) => group.toString('hex'))).size).toBe(3);
  expect(groups.map((group) => decodeGroup(group))).toEqual(files);
  expect(decodeGroup(groups[0]!.subarray(0, -1))).toBeUndefined();
});
