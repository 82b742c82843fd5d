// Outcomes as text: one clean line whatever was thrown, and docs/errors.md lists exactly the codes that exist.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { errorLine, isQuietExit, toSeekfsError, wantsJson } from '../../src/cli/report.ts';
import { ERROR_TABLE, SeekfsError } from '../../src/lib/base/errors.ts';

describe('whatever was thrown', () => {
  test('ours stays what it is', () => {
    const error = new SeekfsError('path_not_found', 'x');
    expect(toSeekfsError(error)).toBe(error);
  });

  test('several lines of oclif become one usage error', () => {
    const thrown = Object.assign(new Error('Nonexistent flag: --foo\nSee more help with --help'), {
      oclif: { exit: 2 },
    });
    expect(toSeekfsError(thrown)).toMatchObject({ code: 'usage', message: 'nonexistent flag: --foo; see --help' });
  });

  test('what oclif writes around the message of a flag’s own parser goes again', () => {
    const thrown = new SeekfsError('usage', 'x');
    thrown.message = 'Parsing --off \n\t"x" is not a size\nSee more help with --help';
    expect(errorLine(toSeekfsError(thrown))).toBe('error: --off: "x" is not a size\n');
  });

  test('a defect is unexpected, and says so without a stack', () => {
    const line = errorLine(toSeekfsError(new TypeError('x is undefined')));
    expect(line).toBe('error: cannot finish: x is undefined\n');
  });

  test.each([
    ['list', 'scandir', undefined, 'cannot list /a'],
    ['rename', 'rename', '/b', 'cannot rename /a to /b'],
  ])('a call of the system that nobody put into words names its paths: %s', (_, syscall, dest, says) => {
    const call = { code: 'ENOTDIR', errno: -20, syscall, path: '/a', dest };
    const thrown = Object.assign(new Error('ENOTDIR: not a directory'), call);
    expect(toSeekfsError(thrown)).toMatchObject({ message: `${says}: not a directory (ENOTDIR)` });
  });

  test('control characters of names do not reach the terminal', () => {
    expect(errorLine(new SeekfsError('path_not_found', 'no file a\nb\u001b[2J'))).toBe('error: no file a b [2J\n');
  });

  test('help is no failure', () => {
    expect(isQuietExit(Object.assign(new Error('EEXIT: 0'), { oclif: { exit: 0 } }))).toBe(true);
    expect(isQuietExit(new Error('x'))).toBe(false);
  });
});

test('--json counts before --, not behind it', () => {
  expect(wantsJson(['ls', 'dev', '--json'])).toBe(true);
  expect(wantsJson(['ls', '--', '--json'])).toBe(false);
});

test('docs/errors.md lists exactly the codes, with their exit status, HTTP status and meaning', () => {
  const document = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  const rows = [...document.matchAll(/^\| `(\w+)` +\| +(\d+) +\| +(\d+) +\| (yes|no) +\| (.+?) +\|$/gm)];
  expect(rows.map(([, code, exit, http, retry, summary]) => [code, exit, http, retry, summary])).toEqual(
    Object.entries(ERROR_TABLE).map(([code, row]) => [
      code,
      String(row.exitStatus),
      String(row.httpStatus),
      row.retryable ? 'yes' : 'no',
      row.summary,
    ]),
  );
});
