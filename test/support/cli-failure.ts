// A command that must fail: one clear line, the right exit status, the right document, and nothing changed.
import { expect } from 'vitest';
import { snapshot, type Cli, type Outcome, type RunOptions } from './cli.ts';

export interface ExpectedFailure {
  readonly status: number;
  readonly code: string;
  /** Matches the message. */
  readonly says: RegExp;
}

/** Runs it twice, as text and with --json, and holds both against what is expected. */
export async function expectFailure(
  user: Cli,
  args: readonly string[],
  expected: ExpectedFailure,
  options: RunOptions = {},
): Promise<void> {
  const before = await contents(user);
  const [plain, asJson] = await Promise.all([user.run(args, options), user.run([...args, '--json'], options)]);
  expect(errorLines(plain), plain.stderr).toHaveLength(1);
  expect(errorLines(plain)[0]).toMatch(expected.says);
  expect(plain.status, plain.stderr).toBe(expected.status);
  expect(plain.stdout.toString()).toBe('');
  expect(plain.stderr).not.toMatch(/^\s+at /m);
  const carriesBytes = ['cat', 'readv'].includes(args[0]!);
  const document = JSON.parse(carriesBytes ? lastLine(asJson) : asJson.stdout.toString()) as unknown;
  expect(document).toMatchObject({ error: { code: expected.code, message: expect.stringMatching(expected.says) } });
  expect(asJson.status).toBe(expected.status);
  expect(await contents(user)).toEqual(before);
}

/** Local files and the store's objects; its lock changes hands with every attempt, which is no change. */
async function contents(user: Cli): Promise<object> {
  const store = Object.entries(await snapshot(user.storePath));
  const objects = store.filter(([path]) => !path.startsWith('/.seekfs/lock/'));
  return { work: await snapshot(user.work), store: Object.fromEntries(objects) };
}

function errorLines({ stderr }: Outcome): string[] {
  const lines = stderr.split('\n').filter((line) => line !== '');
  expect(lines.filter((line) => !/^(error|warning): /.test(line))).toEqual([]);
  return lines.filter((line) => line.startsWith('error: '));
}

const lastLine = ({ stderr }: Outcome): string => stderr.trim().split('\n').at(-1)!;
