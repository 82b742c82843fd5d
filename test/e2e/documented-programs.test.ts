// The programs of docs/library.md and docs/training.md, run as they stand. (That of docs/blob-api.md: via.test.ts.)
import { execFile, execFileSync } from 'node:child_process';
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
const run = promisify(execFile);

let directory: string;
let serve: ServeProcess;

beforeAll(async () => {
  directory = await temporaryDirectory('seekfs-documented');
  await mkdir(join(directory, 'set/images'), { recursive: true });
  await writeFile(join(directory, 'set/warm.bin'), seededRandom(6).bytes(300 * KIB));
  for (const name of ['a', 'b', 'c']) await writeFile(join(directory, `set/images/${name}.jpg`), `bytes of ${name}`);
  await writeFile(join(directory, 'set/images/empty.jpg'), '');
  await seekfs(directory, 'put', 'dev', 'set/');
  serve = await startServe(directory, '--workers', '2');
});

afterAll(async () => {
  await serve?.stop();
});

async function block(document: string, title: string): Promise<string> {
  const text = await readFile(join(ROOT, 'docs', document), 'utf8');
  const found = text.split('\n```' + title + '\n')[1]?.split('\n```\n')[0];
  if (found === undefined) throw new Error(`docs/${document} has no block "${title}"`);
  return found;
}

test('the program of docs/library.md reads, and its process ends by itself', async () => {
  const env = {
    PATH: process.env['PATH'],
    HOME: directory,
    SEEKFS_STORE: `file://${join(directory, 'store')}`,
    SEEKFS_CACHE: join(directory, 'cache-of-library'),
    SEEKFS_FREE_RESERVE_GIB: '0',
  };
  const program = await block('library.md', 'js library');
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: ROOT,
    env,
  });
  expect({ stdout, stderr }).toEqual({ stdout: `warm.bin ${300 * KIB} 32\n`, stderr: '' });
});

const hasPython = ((): boolean => {
  try {
    return execFileSync('python3', ['--version']).length > 0;
  } catch {
    return false;
  }
})();

test.skipIf(!hasPython)('the Python of docs/training.md reads batches of one version', async () => {
  const program = [
    await block('training.md', 'python client'),
    await block('training.md', 'python torch'),
    'import os, subprocess, sys',
    "files = Files(sys.argv[1], 'dev', prefix='images/')",
    'print(files.files)',
    'sys.stdin.read(1)',
    'print([bytes(item) for item in files.__getitems__([2, 0, 3])], bytes(files[1]))',
    // A worker of a loader is forked from a process that has a connection.
    'child = os.fork()',
    'if child == 0:',
    '    os._exit(0 if bytes(files[1]) == b"bytes of b" else 1)',
    'print(os.waitpid(child, 0)[1], bytes(files[0]))',
    "try: Seekfs(sys.argv[1], 'none')",
    'except RuntimeError as error: print(error)',
  ].join('\n');
  const child = execFile('python3', ['-c', program, serve.url], { cwd: directory });
  let output = '';
  child.stderr!.on('data', (chunk: string) => (output += chunk));
  const ended = new Promise((resolve) => child.once('close', resolve));
  await new Promise<void>((resolve) => {
    child.stdout!.on('data', (chunk: string) => {
      output += chunk;
      if (output.endsWith(']\n')) resolve();
    });
    void ended.then(() => resolve());
  });
  // It has pinned its version: what is published now is not for it.
  await writeFile(join(directory, 'set/images/b.jpg'), 'other');
  await seekfs(directory, 'put', 'dev', 'set/');
  child.stdin!.end('x');
  await ended;
  expect(output.trim().split('\n')).toEqual([
    "[('images/a.jpg', 10), ('images/b.jpg', 10), ('images/c.jpg', 10), ('images/empty.jpg', 0)]",
    "[b'bytes of c', b'bytes of a', b''] b'bytes of b'",
    "0 b'bytes of a'",
    expect.stringMatching(/^404 for \/ls\?ns=none&limit=1: \{"error":\{"code":"namespace_not_found"/),
  ]);
});
