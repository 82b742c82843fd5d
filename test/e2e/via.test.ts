// `--via`: reading commands through a running `serve` say and write exactly what they do without it.
import { execFile } from 'node:child_process';
import { readFile, writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { KIB } from '../../src/lib/base/units.ts';
import { seekfs, startServe, type ServeProcess } from '../support/serve-process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let directory: string;
let serve: ServeProcess;

beforeAll(async () => {
  directory = await temporaryDirectory('seekfs-via');
  await mkdir(join(directory, 'set'));
  await writeFile(join(directory, 'set/big.bin'), seededRandom(5).bytes(700 * KIB));
  await writeFile(join(directory, 'set/a +&%.txt'), 'small');
  await writeFile(join(directory, 'set/empty'), '');
  await seekfs(directory, 'put', 'dev', 'set/');
  await writeFile(join(directory, 'set/big.bin'), 'second');
  await seekfs(directory, 'put', 'dev', 'set/');
  serve = await startServe(directory, '--workers', '2');
});

afterAll(async () => {
  await serve?.stop();
});

test.each([
  [['cat', 'dev', 'big.bin', '--at', '1']],
  [['cat', 'dev', 'big.bin']],
  [['cat', 'dev', 'big.bin', '--at', '1', '--off', '131000', '--len', '300']],
  [['cat', 'dev', 'empty']],
  [['readv', 'dev', 'big.bin:5:300000', 'a +&%.txt:0:100', 'big.bin:716000:99999', '--at', '1']],
  [['readv', 'dev', 'empty:1:1', 'big.bin:0:1']],
  [['ls', 'dev']],
  [['ls', 'dev', 'a', '--json']],
  [['stat', 'dev', 'big.bin', '--json']],
])('%j answers as without it', async (args) => {
  const direct = await seekfs(directory, ...args);
  expect(await seekfs(directory, ...args, '--via', serve.url)).toBe(direct);
});

test('get brings the same tree', async () => {
  await seekfs(directory, 'get', 'dev', join(directory, 'direct'), '--at', '1');
  await seekfs(directory, 'get', 'dev', join(directory, 'via'), '--at', '1', '--via', serve.url);
  for (const path of ['big.bin', 'a +&%.txt', 'empty']) {
    const bytes = await readFile(join(directory, 'via', path));
    expect(bytes.equals(await readFile(join(directory, 'direct', path))), path).toBe(true);
  }
});

test.each([
  [['cat', 'dev', 'none'], 10],
  [['cat', 'none', 'big.bin'], 10],
  [['cat', 'dev', 'big.bin', '--off', '9999999'], 2],
  [['readv', 'dev', 'big.bin:9999999:1'], 2],
  [['warm', 'dev'], 2],
  [['status'], 2],
  [['fsck'], 2],
  [['demo'], 2],
])('%j fails as without it, or is refused', async (args, status) => {
  await expect(seekfs(directory, ...args, '--via', serve.url)).rejects.toMatchObject({ code: status });
});

test('the program of docs/blob-api.md runs', async () => {
  const document = await readFile(join(ROOT, 'docs/blob-api.md'), 'utf8');
  const program = /```js client\n([^]*?)```/.exec(document)![1]!;
  expect(program).toContain('http://127.0.0.1:7070');
  const text = program.replace('http://127.0.0.1:7070', serve.url).replaceAll('warm.bin', 'big.bin');
  const at = text.replace('{ off: 4096 }', "{ off: 4096, version: '1' }").replace('])', "], { version: '1' })");
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', at], { cwd: ROOT });
  expect(stdout).toBe(`${700 * KIB - 4096} 16 path_not_found\n`);
});
