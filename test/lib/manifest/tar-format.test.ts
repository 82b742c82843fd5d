import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeTarHeader, paddingOf, TAR_END, TarScan } from '../../../src/lib/manifest/tar-format.ts';
import { anyPath } from '../../support/file-entries.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const tar = (...args: string[]): Promise<{ stdout: string }> => promisify(execFile)('tar', args);

interface Found {
  name: string;
  off: number;
  content: Buffer;
}

function scan(bytes: Buffer, chunkBytes = bytes.length): Found[] {
  const found: (Omit<Found, 'content'> & { parts: Buffer[]; sizeBytes: number })[] = [];
  let ends = 0;
  const tarScan = new TarScan({
    begin: (member) => found.push({ ...member, parts: [] }),
    bytes: (part) => found.at(-1)!.parts.push(Buffer.from(part)),
    end: () => (ends += 1),
  });
  for (let at = 0; at < bytes.length; at += chunkBytes) tarScan.push(bytes.subarray(at, at + chunkBytes));
  tarScan.finish();
  expect(ends).toBe(found.length);
  return found.map(({ name, off, sizeBytes, parts }) => {
    const content = Buffer.concat(parts);
    expect(content).toHaveLength(sizeBytes);
    expect(bytes.subarray(off, off + sizeBytes).equals(content)).toBe(true);
    return { name, off, content };
  });
}

function write(files: readonly { path: string; content: Buffer }[]): Buffer {
  const parts = files.flatMap(({ path, content }) => [
    encodeTarHeader({ path, sizeBytes: content.length, mtimeS: 1_735_689_600 }),
    content,
    Buffer.alloc(paddingOf(content.length)),
  ]);
  return Buffer.concat([...parts, TAR_END]);
}

const LONG = `${'directory/'.repeat(30)}file with a long name.bin`;

describe('a tar of ours', () => {
  test('is what tar lists and takes out, long and foreign names included', async () => {
    const directory = await temporaryDirectory('seekfs-tar');
    const files = ['a.bin', 'empty', 'ü/日本/🙂', LONG, 'x'.repeat(100), 'y'.repeat(101)].map((path, index) => ({
      path,
      content: Buffer.alloc(path === 'empty' ? 0 : 500 + index * 400, path),
    }));
    await writeFile(join(directory, 'ours.tar'), write(files));
    await tar('-xf', join(directory, 'ours.tar'), '-C', directory);
    for (const { path, content } of files) expect((await readFile(join(directory, path))).equals(content)).toBe(true);
    const { stdout } = await tar('--quoting-style=literal', '-tf', join(directory, 'ours.tar'));
    expect(stdout.trimEnd().split('\n')).toEqual(files.map((file) => file.path));
  });

  test('is scanned back, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ path: anyPath, content: fc.uint8Array({ maxLength: 1500 }) }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 2000 }),
        (files, chunkBytes) => {
          const contents = files.map(({ path, content }) => ({ path, content: Buffer.from(content) }));
          const found = scan(write(contents), chunkBytes);
          expect(found.map(({ name, content }) => ({ path: name, content }))).toEqual(contents);
        },
      ),
      { numRuns: 100 },
    );
  });
});

test.each(['v7', 'ustar', 'gnu', 'oldgnu', 'posix'])(
  'a tar of tar in format %s is scanned: regular files only',
  async (format) => {
    const directory = await temporaryDirectory('seekfs-tar');
    const names = ['a.bin', 'd/b.bin', 'd/empty', ...(format === 'v7' ? [] : ['e/'.repeat(60) + 'deep.bin'])];
    if (!['v7', 'ustar'].includes(format)) names.push(LONG);
    for (const name of names) {
      await mkdir(dirname(join(directory, 'tree', name)), { recursive: true });
      await writeFile(join(directory, 'tree', name), name.endsWith('empty') ? '' : `content of ${name}`);
    }
    await symlink('a.bin', join(directory, 'tree', 'link'));
    await tar(`--format=${format}`, '--sort=name', '-cf', join(directory, 't.tar'), '-C', join(directory, 'tree'), '.');
    const found = scan(await readFile(join(directory, 't.tar')), 10_000);
    expect(found.map(({ name, content }) => `${name.slice(2)}: ${content.toString()}`).sort()).toEqual(
      names.map((name) => `${name}: ${name.endsWith('empty') ? '' : `content of ${name}`}`).sort(),
    );
  },
);

describe('what is no tar is an error:', () => {
  const good = write([{ path: 'a', content: Buffer.alloc(600, 1) }]);
  test.each<[string, Buffer]>([
    ['text', Buffer.alloc(2048, 'text')],
    ['half a header', good.subarray(0, 300)],
    ['half a file', good.subarray(0, 700)],
    ['a flipped bit in a header', Buffer.concat([Buffer.of(good[0]! ^ 1), good.subarray(1)])],
  ])('%s', (_name, bytes) => {
    expect(() => scan(bytes)).toThrow(expect.objectContaining({ code: 'usage' }));
  });
});
