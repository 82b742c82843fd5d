import { describe, expect, test } from 'vitest';
import {
  checkNamespace,
  checkPath,
  contentKey,
  headKey,
  indexKey,
  isContentKey,
  manifestKey,
  newPathFault,
  parseManifestKey,
  pathFault,
  shardKey,
} from '../../../src/lib/manifest/key-layout.ts';

const hex = 'ab'.repeat(32);

describe('keys', () => {
  test('are those of the contract', () => {
    expect(headKey('dev')).toBe('namespaces/dev/HEAD');
    expect(manifestKey('dev', 3)).toBe('namespaces/dev/manifests/v-3.json.gz');
    expect(contentKey('dev', 'a/b.bin', hex)).toBe(`namespaces/dev/files/a/b.bin/v-${hex}`);
  });

  test.each([
    [`namespaces/dev/files/a/v-${hex}`, true],
    [`namespaces/dev/files/a/v-sha256:${hex}`, true],
    [shardKey('dev', hex), true],
    [`namespaces/dev/files/a/v-${hex.slice(1)}`, false],
    [`namespaces/dev/files/a/v-${hex.toUpperCase()}`, false],
    [`namespaces/dev/files/v-${hex}/a`, false],
    ['namespaces/dev/files/v-3', false],
  ])('%s content-addressed: %s', (key, expected) => {
    expect(isContentKey(key)).toBe(expected);
  });

  test('of manifests and indexes are told apart from anything else', () => {
    expect(parseManifestKey('dev', manifestKey('dev', 12))).toEqual({ version: 12, kind: 'manifest' });
    expect(parseManifestKey('dev', indexKey('dev', 12, hex))).toEqual({ version: 12, kind: 'index' });
    for (const key of ['v-0.json.gz', 'v-12.json', 'v-01.json.gz', 'v-99999999999999999.json.gz', 'x']) {
      expect(parseManifestKey('dev', `namespaces/dev/manifests/${key}`)).toBeUndefined();
    }
    expect(parseManifestKey('other', manifestKey('dev', 12))).toBeUndefined();
  });
});

describe('paths', () => {
  test.each(['a', 'a/b', '.hidden', '..a', 'a..', 'a/...', 'ü/日本/🙂', ' ', 'v-3', 'a\tb', 'x'.repeat(1024)])(
    '%j is one',
    (path) => expect(pathFault(path)).toBeUndefined(),
  );

  test.each([
    '',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    './a',
    'a/.',
    'a/..',
    '../a',
    'a/../b',
    'a\0',
    'a\nb',
    'a\r',
    '\ud800',
  ])('%j is none', (path) => {
    expect(pathFault(path)).toBeTypeOf('string');
    expect(() => checkPath(path)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  test('are bounded in bytes, not in characters', () => {
    expect(pathFault('ü'.repeat(512))).toBeUndefined();
    expect(pathFault(`${'ü'.repeat(512)}x`)).toMatch(/longer/);
  });

  test('of our own making leave room for their key, and are no content-addressed name', () => {
    expect(newPathFault('dev', `a/v-${hex}`)).toMatch(/content-addressed/);
    expect(newPathFault('dev', `v-${hex}/a`)).toBeUndefined();
    const room = 1024 - 'namespaces/dev/files/'.length - '/v-'.length - 64;
    expect(newPathFault('dev', 'x'.repeat(room))).toBeUndefined();
    expect(newPathFault('dev', 'x'.repeat(room + 1))).toMatch(/longer/);
    expect(Buffer.byteLength(contentKey('dev', 'x'.repeat(room), hex))).toBe(1024);
  });
});

test('a namespace is one component', () => {
  for (const ns of ['dev', 'team-a.v2', 'ü', '...']) expect(() => checkNamespace(ns)).not.toThrow();
  for (const ns of ['', '.', '..', 'a/b', 'a\nb', 'x'.repeat(256), '\udc00']) {
    expect(() => checkNamespace(ns)).toThrow(expect.objectContaining({ code: 'usage' }));
  }
});
