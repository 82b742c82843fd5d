// Global flags before the command end up behind it; everything else stays as it was.
import { expect, test } from 'vitest';
import { commandFirst } from '../../src/cli/argument-order.ts';
import { GLOBAL_FLAGS } from '../../src/cli/flags.ts';

const reordered = (line: string): string => commandFirst(line.split(' ')).join(' ');

test.each([
  ['--json ls dev', 'ls --json dev'],
  ['--config x.toml --at=3 cat dev a --off 1', 'cat --config x.toml --at=3 dev a --off 1'],
  ['manifest --json head dev', 'manifest head --json dev'],
  ['--stats manifest --no-progress gen dev', 'manifest gen --stats --no-progress dev'],
  ['--cache ls ls dev', 'ls --cache ls dev'],
  ['manifest --replace gen dev a', 'manifest gen --replace dev a'],
  ['manifest --nope gen dev', 'manifest gen --nope dev'],
  ['manifest --help gen', 'manifest gen --help'],
  ['help', '--help'],
  ['version', '--version'],
  ['help manifest gen', 'manifest gen --help'],
])('%s becomes %s', (line, expected) => {
  expect(reordered(line)).toBe(expected);
});

test.each([
  ['ls dev --json'],
  ['manifest head dev --json'],
  ['--help'],
  ['--version'],
  ['--json --help'],
  ['--nope ls dev'],
  ['--config'],
  ['manifest'],
  ['manifest --help'],
  ['manifest --json'],
  ['cat dev -- --json'],
])('%s stays as it is', (line) => {
  expect(reordered(line)).toBe(line);
});

test('every global flag is known, with or without a value as oclif has it', () => {
  for (const [name, flag] of Object.entries(GLOBAL_FLAGS)) {
    const words = flag.type === 'boolean' ? [`--${name}`] : [`--${name}`, 'value'];
    expect(commandFirst([...words, 'ls', 'dev'])).toEqual(['ls', ...words, 'dev']);
  }
});
