// The README's tour, run as a new user would: the shell blocks as they stand, in an empty directory with an empty home.
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'seekfs-readme-'));
  await mkdir(join(directory, 'bin'));
  const script = `#!/bin/sh\nexec "${process.execPath}" "${join(root, 'bin/run.js')}" "$@"\n`;
  await writeFile(join(directory, 'bin/seekfs'), script);
  await chmod(join(directory, 'bin/seekfs'), 0o755);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

async function shellBlock(name: string): Promise<string> {
  const text = await readFile(join(root, 'README.md'), 'utf8');
  const block = new RegExp(`^\`\`\`sh ${name}\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(text);
  if (!block) throw new Error(`README.md has no block "sh ${name}"`);
  return block[1]!;
}

type Shell = ChildProcessByStdio<null, Readable, Readable>;

async function startShell(script: string, workName: string): Promise<Shell> {
  const work = join(directory, workName);
  await mkdir(join(work, 'home'), { recursive: true });
  return spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: work,
    // How full the machine is must not decide what a test sees.
    env: {
      PATH: `${join(directory, 'bin')}:${process.env.PATH}`,
      HOME: join(work, 'home'),
      SEEKFS_FREE_RESERVE_GIB: '0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function runShell(script: string, workName: string): Promise<string> {
  const child = await startShell(script, workName);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  expect(status, output).toBe(0);
  return output;
}

/** The address that `serve` prints when it listens. */
async function listeningUrl(serve: Shell): Promise<string> {
  let output = '';
  for await (const chunk of serve.stderr) {
    output += String(chunk);
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(output);
    if (url) return url[0];
  }
  throw new Error(`serve ended without listening: ${output}`);
}

test('the five-minute tour runs as it stands', async () => {
  const output = await runShell(await shellBlock('tour'), 'tour');
  expect(output).toContain('"gets":0');
  expect(output).toMatch(/^4096$/m);
  expect(output).toMatch(/^712$/m);
});

test('the HTTP tour runs as it stands, but for the port', async () => {
  const [publish, read] = (await shellBlock('serve')).split(/^seekfs serve .*&$/m);
  expect(await runShell(publish!, 'serve')).toMatch(/^v-1$/m);
  const serve = await startShell('exec seekfs serve --listen 127.0.0.1:0', 'serve');
  try {
    const url = await listeningUrl(serve);
    const requests = read!.replaceAll('http://127.0.0.1:7070', url).replaceAll(/^curl /gm, 'curl -sS --fail ');
    await runShell(requests.replace(/(len=4096")/, '$1 | cmp - <(head -c 4096 warm.bin)'), 'serve');
  } finally {
    serve.kill('SIGTERM');
    await new Promise((resolve) => serve.once('close', resolve));
  }
});
