// `npm run bench:compare` as a process: what it calls worse, and how it says so to a shell.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const directory = await temporaryDirectory('seekfs-compare');

interface Row {
  readonly name: string;
  readonly unit: string;
  readonly result: number;
  readonly least?: number;
  readonly greatest?: number;
  readonly count?: number;
  readonly target?: { readonly atLeast?: number; readonly atMost?: number };
}

function compare(newer: readonly Row[], older: readonly Row[]): { status: number | null; stdout: string } {
  const write = (name: string, rows: readonly Row[]): string => {
    const path = join(directory, name);
    writeFileSync(path, JSON.stringify({ machine: { commit: 'abc' }, results: [{ name: 'w', rows }] }));
    return path;
  };
  const script = fileURLToPath(new URL('../../bench/compare.js', import.meta.url));
  const args = [script, write('new.json', newer), write('old.json', older)];
  return spawnSync(process.execPath, args, { encoding: 'utf8' });
}

const throughput = (result: number): Row => ({
  name: 'throughput / cat',
  unit: 'ratio',
  result,
  least: result - 0.1,
  greatest: result + 0.1,
  count: 5,
  target: { atLeast: 0.5 },
});
const gets = (result: number): Row => ({ name: 'gets', unit: 'requests', result, target: { atMost: 0 } });

test('within the spread nothing is worse', () => {
  const { status, stdout } = compare([throughput(0.95), gets(0)], [throughput(1), gets(0)]);
  expect([status, stdout]).toEqual([0, '0 worse than abc beyond its spread\n']);
});

test.each([
  ['a throughput under all that was seen', [throughput(0.8)], [throughput(1)], /worse\s+w: throughput/],
  ['one GET more where there was none', [gets(1)], [gets(0)], /worse\s+w: gets/],
])('%s is worse, and the exit status says so', (_, newer, older, said) => {
  const { status, stdout } = compare(newer, older);
  expect(status).toBe(1);
  expect(stdout).toMatch(said);
});

test('a single measurement has a tenth of leeway, a count has none', () => {
  const peak = (result: number): Row => ({ name: 'peak', unit: 'MiB', result, target: { atMost: 256 } });
  expect(compare([peak(105)], [peak(100)]).status).toBe(0);
  expect(compare([peak(115)], [peak(100)]).status).toBe(1);
});

test('better is said too, and is no failure; times without a peer are not compared', () => {
  const wall = (result: number): Row => ({
    name: 'wall',
    unit: 'ms',
    result,
    least: result,
    greatest: result,
    count: 5,
  });
  const { status, stdout } = compare([throughput(1.5), wall(900)], [throughput(1), wall(100)]);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^better {2}w: throughput/);
  expect(stdout).not.toMatch(/wall/);
});

test('a row that is gone is named', () => {
  const { stdout } = compare([gets(0)], [gets(0), throughput(1)]);
  expect(stdout).toMatch(/gone\s+w: throughput/);
});
