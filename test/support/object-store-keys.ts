// The part of the object stores' contract that is about keys: their order in listings, keys below keys, strange ones.
import { expect, test } from 'vitest';
import { compareKeys } from '../../src/lib/objectstore/key.ts';
import type { ObjectStore, PutCondition } from '../../src/lib/objectstore/object-store.ts';
import { codeOf, getRangeBytes, listAll } from './store-bytes.ts';
import { strangeKeys } from './strange-keys.ts';

const ABSENT: PutCondition = { kind: 'absent' };

export interface StoreUse {
  /** Open from the first test on. */
  readonly store: () => ObjectStore;
  /** Of keys that no other test has. */
  readonly freshPrefix: () => string;
  readonly put: (key: string, text: string, condition?: PutCondition) => Promise<{ etag: string }>;
  readonly read: (key: string) => Promise<string>;
}

/** Defines the tests. */
export function testKeys({ store, freshPrefix, put, read }: StoreUse): void {
  test('listing is in the byte order of the keys, by prefix and after a key, over several pages', async () => {
    const prefix = freshPrefix();
    const special = [
      'a',
      'a/b',
      'a/b/c',
      'a-b',
      'a.b',
      'a0',
      'A',
      'ä',
      '\u{1F600}',
      '\uFFFD',
      'b',
      'b c',
      'b%20c',
      'b+c',
    ];
    const many = Array.from({ length: 1040 }, (_, n) => `many/${n}`);
    const keys = [...special, ...many].map((key) => prefix + key);
    const rest = [...keys];
    const writer = async (): Promise<void> => {
      for (let key = rest.pop(); key !== undefined; key = rest.pop()) await put(key, '');
    };
    await Promise.all(Array.from({ length: 16 }, writer));
    const ordered = [...keys].sort(compareKeys);
    expect((await listAll(store(), prefix)).map(({ key }) => key)).toEqual(ordered);
    for (const startAfter of [
      `${prefix}a`,
      `${prefix}a-b`,
      `${prefix}a/b/`,
      `${prefix}many/5`,
      `${prefix}zzzz`,
      'zzz',
    ]) {
      const expected = ordered.filter((key) => compareKeys(key, startAfter) > 0);
      expect((await listAll(store(), prefix, startAfter)).map(({ key }) => key)).toEqual(expected);
    }
    for (const narrower of [`${prefix}a`, `${prefix}a/`, `${prefix}many/10`, `${prefix}ä`, `${prefix}nothing`]) {
      const expected = ordered.filter((key) => key.startsWith(narrower));
      expect((await listAll(store(), narrower)).map(({ key }) => key)).toEqual(expected);
    }
    await store().delete({ keys });
    expect(await listAll(store(), prefix)).toEqual([]);
  });

  test('a key may be the prefix of others, whichever comes first', async () => {
    const prefix = freshPrefix();
    const version = `v-${'0123456789abcdef'.repeat(4)}`;
    const keys = ['x', 'x/y', 'x/y/z', `x/${version}`, 'q/r/s', 'q/r', 'q', `q/${version}`].map((key) => prefix + key);
    for (const key of keys) await put(key, key, ABSENT);
    for (const key of keys) expect(await read(key)).toBe(key);
    expect((await listAll(store(), prefix)).map(({ key }) => key)).toEqual([...keys].sort(compareKeys));
    for (const key of keys) expect(await codeOf(put(key, 'again', ABSENT))).toBe('precondition_failed');
    await put(`${prefix}q`, 'replaced');
    expect(await read(`${prefix}q`)).toBe('replaced');
    await store().delete({ keys: [`${prefix}x`, `${prefix}q/r`] });
    expect(await codeOf(store().head({ key: `${prefix}x` }))).toBe('object_not_found');
    expect(await read(`${prefix}x/y`)).toBe(`${prefix}x/y`);
    expect(await read(`${prefix}q/r/s`)).toBe(`${prefix}q/r/s`);
  });

  test.each(strangeKeys())('the key %s works everywhere, or is refused in one clear way', async (_, tail) => {
    const prefix = freshPrefix();
    const key = `${prefix}${tail}`.slice(0, tail === '' ? undefined : 1024);
    const outcome = await codeOf(put(key, key, ABSENT));
    if (outcome === 'usage') {
      expect(await listAll(store(), prefix)).toEqual([]);
      expect(await codeOf(store().head({ key }))).toBe('usage');
      return;
    }
    expect(outcome).toBe('no error');
    expect(await read(key)).toBe(key);
    expect((await getRangeBytes(store(), key, { off: 0, len: 3 })).toString()).toBe(key.slice(0, 3));
    expect((await listAll(store(), prefix)).map((listed) => listed.key)).toEqual([key]);
    await store().delete({ keys: [key] });
    expect(await codeOf(store().head({ key }))).toBe('object_not_found');
  });

  test.each([
    ['empty', ''],
    ['of 1,025 bytes', 'k'.repeat(1025)],
    ['with NUL', 'a\0b'],
    ['of half a surrogate pair', 'a\uD800'],
  ])('a key %s is refused', async (_, key) => {
    expect(await codeOf(put(key, 'x'))).toBe('usage');
    expect(await codeOf(store().head({ key }))).toBe('usage');
    expect(await codeOf(getRangeBytes(store(), key, { off: 0, len: 1 }))).toBe('usage');
  });
}
