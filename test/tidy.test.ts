// House style that a machine can check: the room table of docs/architecture.md, file lengths, mirrored tests, Markdown headings.
import { readdirSync, readFileSync, existsSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

const ROOMS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  config: ['base'],
  disk: ['base'],
  objectstore: ['base', 'disk'],
  page: ['base'],
  manifest: ['base', 'page', 'objectstore', 'disk'],
  segment: ['base', 'disk'],
  cache: ['base', 'page', 'disk', 'segment'],
  read: ['base', 'page', 'objectstore', 'manifest', 'cache'],
  maintain: ['base', 'config', 'disk', 'objectstore', 'page', 'manifest', 'segment', 'cache', 'read'],
  blobapi: ['base', 'config', 'manifest', 'read', 'maintain'],
};

const LINES_MAX = 400;

function filesUnder(directory: string, ending: string): string[] {
  const path = join(root, directory);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!);
}

const sources = filesUnder('src', '.ts');

describe('rooms', () => {
  test.each(sources.filter((file) => file.startsWith('src/lib/')))('%s imports only what its room may', (file) => {
    const room = file.split('/')[2]!;
    const allowed = ROOMS[room];
    for (const target of importsOf(file)) {
      expect(target, 'the library never imports oclif').not.toMatch(/oclif/);
      if (!target.startsWith('.') || !allowed) continue;
      const targetFile = relative(root, resolve(root, dirname(file), target));
      expect(targetFile, 'relative imports stay in the library').toMatch(/^src\/lib\//);
      const targetRoom = targetFile.split('/')[2]!;
      expect([room, ...allowed], `${file} imports ${target}`).toContain(targetRoom);
    }
  });

  test('the library never prints and never reads the environment or the arguments', () => {
    const offenders = sources
      .filter((file) => file.startsWith('src/lib/'))
      .filter((file) => /\bconsole\.|process\.(env|argv|stdout|stderr)\b/.test(readFileSync(join(root, file), 'utf8')));
    expect(offenders).toEqual([]);
  });

  test('only src/cli, src/commands and bin import oclif', () => {
    const offenders = sources
      .filter((file) => !file.startsWith('src/cli/') && !file.startsWith('src/commands/'))
      .filter((file) => importsOf(file).some((target) => target.includes('oclif')));
    expect(offenders).toEqual([]);
  });

  test('the folders of src/lib are the rooms of the table', () => {
    const inRooms = sources.filter((file) => file.startsWith('src/lib/') && file.split('/').length > 3);
    const rooms = new Set(inRooms.map((file) => file.split('/')[2]!));
    expect([...rooms].sort()).toEqual(Object.keys(ROOMS).sort());
  });

  test('docs/architecture.md has the same table', () => {
    const text = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
    const documented: Record<string, string[]> = {};
    for (const [, room, words] of text.matchAll(/^\| `(\w+)` +\|[^|]*\| ([^|]*?) +\|$/gm)) {
      documented[room!] = words === 'all above' ? Object.keys(documented) : (words!.match(/\w+/g) ?? []);
    }
    expect(documented).toEqual(ROOMS);
  });
});

describe('files', () => {
  test.each(sources)('%s opens with a comment and is no longer than it may be', (file) => {
    const text = readFileSync(join(root, file), 'utf8');
    expect(text.startsWith('//') || text.startsWith('/*')).toBe(true);
    const linesMax = file.startsWith('src/commands/') ? 80 : LINES_MAX;
    expect(text.split('\n').length - 1).toBeLessThanOrEqual(linesMax);
  });

  test('every unit test mirrors a source file', () => {
    const orphans = ['test/lib', 'test/cli', 'test/commands']
      .flatMap((directory) => filesUnder(directory, '.test.ts'))
      .filter((file) => {
        const source = file.replace(/^test\//, 'src/').replace(/\.test\.ts$/, '.ts');
        return !existsSync(join(root, source));
      });
    expect(orphans).toEqual([]);
  });

  test('names avoid words that say nothing', () => {
    const vague = /(^|[-/])(util|utils|helper|helpers|manager|misc|common)(\.|\/|s?\.)/;
    expect(sources.filter((file) => vague.test(file))).toEqual([]);
  });
});

describe('Markdown', () => {
  const documents = ['README.md', 'CHANGELOG.md', ...filesUnder('docs', '.md')].filter((file) =>
    existsSync(join(root, file)),
  );

  test.each(documents)('%s has exactly one top heading', (file) => {
    const text = readFileSync(join(root, file), 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '');
    expect(text.match(/^# /gm) ?? []).toHaveLength(1);
  });
});
