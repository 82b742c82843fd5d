// What `seekfs --help` shows: every command has its place, and paragraphs become text that the terminal wraps.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { COMMAND_GROUPS, unwrapped } from '../../src/cli/help.ts';

test('every command stands in exactly one group', () => {
  const commands = readdirSync(fileURLToPath(new URL('../../src/commands', import.meta.url)), {
    recursive: true,
    encoding: 'utf8',
  })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => name.replace(/\.ts$/, '').replaceAll('/', ' '));
  expect(Object.values(COMMAND_GROUPS).flat().sort()).toEqual([...commands, 'autocomplete'].sort());
});

test('lines of a paragraph become one; paragraphs and what is indented stay', () => {
  expect(unwrapped('one\ntwo\n\nthree\n  four\nfive')).toBe('one two\n\nthree\n  four five');
});
