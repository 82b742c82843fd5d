import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseTokens, readTokens } from '../../../src/lib/blobapi/tokens.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const TEAM = 'team-token-0123456789abcdef';
const ROOT = 'root-token-0123456789abcdef';
const FILE = `# who may read what\n\n${TEAM} dev,images\n${ROOT} *\n`;

describe('a token', () => {
  const tokens = parseTokens(FILE, 'tokens');

  test.each([
    [`Bearer ${TEAM}`, 'dev', true],
    [`bearer  ${TEAM}`, 'images', true],
    [`Bearer ${TEAM}`, 'other', false],
    [`Bearer ${TEAM}`, '*', false],
    [`Bearer ${TEAM}`, undefined, false],
    [`Bearer ${ROOT}`, 'other', true],
    [`Bearer ${ROOT}`, undefined, true],
    [`Bearer ${TEAM}x`, 'dev', false],
    [`Basic ${TEAM}`, 'dev', false],
    [TEAM, 'dev', false],
    ['Bearer ', 'dev', false],
    [undefined, 'dev', false],
  ])('%s for %s is %s', (authorization, ns, isAllowed) => {
    expect(tokens.allow(authorization, ns)).toBe(isAllowed);
  });
});

test.each([
  ['short dev', 'the token in line 1 of tokens is shorter'],
  [TEAM, 'line 1 of tokens is not'],
  [`#\n${TEAM} dev extra`, 'line 2 of tokens is not'],
  ['# nothing\n', 'tokens has no tokens'],
])('%j is refused by line, without the token', (text, message) => {
  const refuse = (): unknown => parseTokens(text, 'tokens');
  expect(refuse).toThrow(message);
  expect(refuse).not.toThrow(TEAM);
});

test('readTokens reads a file, and says which one is missing', async () => {
  const directory = await temporaryDirectory('seekfs-tokens');
  const path = join(directory, 'tokens');
  await expect(readTokens(path)).rejects.toMatchObject({ code: 'file_not_found' });
  await writeFile(path, FILE);
  expect((await readTokens(path)).allow(`Bearer ${ROOT}`, 'x')).toBe(true);
});
