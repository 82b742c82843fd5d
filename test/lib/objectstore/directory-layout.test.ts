import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  fromByteString,
  parseEscapedName,
  parsePlainName,
  placesOf,
  toByteString,
} from '../../../src/lib/objectstore/directory-layout.ts';
import { strangeKeys } from '../../support/strange-keys.ts';

/** The key that listing reads from a place of the escaped tree. */
function keyOfEscaped(place: readonly string[]): string {
  const bytes = place.slice(2).map((name) => {
    const part = parseEscapedName(name)!;
    return part.kind === 'directory' ? `${part.bytes}/` : part.bytes;
  });
  return fromByteString(bytes.join(''));
}

const keys = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 120 }),
      fc.constantFrom('', '.', '..', '.seekfs', 'a', 'a%2F', 'd-a'),
    ),
    {
      minLength: 1,
      maxLength: 6,
    },
  )
  .map((components) => components.join('/').replaceAll('\0', ''))
  .filter((key) => key !== '' && Buffer.byteLength(key) <= 1024 && !/\p{Surrogate}/u.test(key));

describe('directory layout', () => {
  test('a key can be read back from its escaped place, whose names a file system takes', () => {
    const check = (key: string): void => {
      const escaped = placesOf(key).find((place) => place[0] === '.seekfs')!;
      expect(keyOfEscaped(escaped)).toBe(key);
      for (const name of escaped) {
        expect(name.length).toBeLessThanOrEqual(255);
        expect(name).toMatch(/^[A-Za-z0-9._%-]+$/);
        expect(['', '.', '..']).not.toContain(name);
      }
      expect(escaped.join('/').length).toBeLessThan(3200);
    };
    for (const [, key] of strangeKeys()) check(key);
    fc.assert(fc.property(keys, check));
  });

  test('a plain place is the key itself and stays below the root', () => {
    fc.assert(
      fc.property(keys, (key) => {
        const plain = placesOf(key).find((place) => place[0] !== '.seekfs');
        if (!plain) return;
        expect(plain.join('/')).toBe(key);
        for (const name of plain) {
          expect(['', '.', '..']).not.toContain(name);
          expect(name).not.toContain('/');
        }
      }),
    );
  });

  test('in the escaped tree a file never has the name of a directory, nor a chunk that of either', () => {
    fc.assert(
      fc.property(keys, keys, (a, b) => {
        const [placeA, placeB] = [a, b].map((key) => placesOf(key).find((place) => place[0] === '.seekfs')!) as [
          string[],
          string[],
        ];
        const isPrefix = placeA.every((name, index) => placeB[index] === name);
        if (isPrefix) expect(a).toBe(b);
      }),
    );
  });

  test('names that this store did not make are no part of a key', () => {
    for (const name of ['x-a', 'f', 'f_a', 'f-%2f', 'f-ä', 'f-a b', '.DS_Store'])
      expect(parseEscapedName(name)).toBeUndefined();
  });

  test('byte strings sort like UTF-8', () => {
    fc.assert(
      fc.property(keys, keys, (a, b) => {
        const [bytesA, bytesB] = [toByteString(a), parsePlainName(b).bytes];
        const order = bytesA < bytesB ? -1 : bytesA > bytesB ? 1 : 0;
        expect(order).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(fromByteString(bytesA)).toBe(a);
      }),
    );
  });
});
