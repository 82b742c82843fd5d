// Help and version, however they are asked for: on stdout, with status 0, within 80 columns.
import { beforeAll, expect, test } from 'vitest';
import { Cli } from '../support/cli.ts';

let cli: Cli;
beforeAll(async () => {
  cli = await Cli.create();
});

async function textOf(args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await cli.run(args, { env: { OCLIF_COLUMNS: '80' } });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.toString();
}

test.each([[[]], [['--help']], [['-h']], [['help']]])('%j lists the commands', async (args) => {
  const text = await textOf(args);
  expect(text).toMatch(/^PUBLISH\n {2}put +upload files/m);
  expect(text).toMatch(/^ {2}manifest head +show the current version/m);
  expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
});

test.each([[['put', '--help']], [['put', '-h']], [['help', 'put']]])('%j tells of one command', async (args) => {
  const text = await textOf(args);
  expect(text).toContain('$ seekfs put NS SOURCE…');
  expect(text.match(/upload files or directory trees/g)).toHaveLength(1);
  // A paragraph's lines are full, whatever their length in the source.
  expect(text.replaceAll(/\s+/g, ' ')).toContain('As with cp -r a directory keeps its name');
  const description = text.split('DESCRIPTION\n')[1]!.split('\n\nEXAMPLES')[0]!.split('\n').slice(0, -1);
  for (const line of description) expect(line.length, line).toBeGreaterThan(60);
});

test.each([[['--version']], [['-V']], [['-v']], [['version']]])('%j is the version', async (args) => {
  expect(await textOf(args)).toMatch(/^seekfs\/\d+\.\d+\.\d+ \S+ node-v\d+\S+\n$/);
});
