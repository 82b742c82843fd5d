// The README's shell blocks, run as they stand, as a new user would: in an empty directory with an empty home, on the
// embedded store and on an S3 server. Only what names a machine (port, endpoint, bucket, keys) is put in.
import { execFile, spawn, type ChildProcessByStdio } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { freshBucket, s3Peer } from '../support/peers.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const peer = await s3Peer();
let directory: string;

beforeAll(async () => {
  directory = await temporaryDirectory('seekfs-readme');
  await mkdir(join(directory, 'bin'));
  await command('seekfs', `"${process.execPath}" "${join(root, 'bin/run.js')}"`);
});

/** Puts a command on the PATH of the shells. */
async function command(name: string, start: string): Promise<void> {
  const path = join(directory, 'bin', name);
  await writeFile(path, `#!/bin/sh\nexec ${start} "$@"\n`);
  await chmod(path, 0o755);
}

/** The code blocks of the README by their info strings: "sh tour", "toml", …. */
async function blocks(): Promise<Map<string, string>> {
  const text = await readFile(join(root, 'README.md'), 'utf8');
  const found = [...text.matchAll(/^```(\S.*)\n([\s\S]*?)^```$/gm)].map(
    ([, title, block]) => [title!, block!] as const,
  );
  expect(new Set(found.map(([title]) => title)).size, 'two blocks of one name').toBe(found.length);
  return new Map(found);
}

async function shellBlock(name: string): Promise<string> {
  const block = (await blocks()).get(`sh ${name}`);
  if (block === undefined) throw new Error(`README.md has no block "sh ${name}"`);
  return block;
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

/** The address that `serve` prints when it listens; what it says later is read, too, as by a terminal. */
function listeningUrl(serve: Shell): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    serve.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const url = /http:\/\/127\.0\.0\.1:\d+(?=\D)/.exec(output);
      if (url) resolve(url[0]);
    });
    serve.once('close', () => reject(new Error(`serve ended without listening: ${output}`)));
  });
}

/** @throws where the tour does not end as the README says */
async function runTour(workName: string): Promise<void> {
  const output = await runShell(await shellBlock('tour'), workName);
  expect(output).toContain('"gets":0');
  expect(output).toMatch(/^4096$/m);
  expect(output).toMatch(/^712$/m);
}

test('every shell block is run by a test of this file', async () => {
  const names = [...(await blocks()).keys()].filter((name) => !name.startsWith('toml'));
  expect(names).toEqual(['sh tour', 'sh s3', 'sh serve']);
});

test('the five-minute tour runs as it stands', async () => {
  await runTour('tour');
});

describe.skipIf(!peer)('on an S3 server, with the seekfs.toml of the README', () => {
  /** A working directory with the file, in which endpoint, bucket and keys are those of the server at hand. */
  async function configured(workName: string): Promise<string> {
    const bucket = await freshBucket(peer!, 'readme');
    const values = {
      endpoint: peer!.endpoint,
      bucket,
      access_key_id: peer!.accessKeyId,
      secret_access_key: peer!.secretAccessKey,
    };
    let toml = (await blocks()).get('toml')!;
    for (const [key, value] of Object.entries(values)) {
      const line = new RegExp(`^${key} = ".*"$`, 'm');
      expect(toml).toMatch(line);
      toml = toml.replace(line, () => `${key} = ${JSON.stringify(value)}`);
    }
    await mkdir(join(directory, workName), { recursive: true });
    await writeFile(join(directory, workName, 'seekfs.toml'), toml);
    return bucket;
  }

  test('the five-minute tour runs as it stands', async () => {
    await configured('tour-s3');
    await runTour('tour-s3');
  });

  test('an object that awscli uploaded is published in place and read back', async ({ skip }) => {
    const aws = await promisify(execFile)('sh', ['-c', 'command -v aws']).catch(() => undefined);
    if (!aws && process.env['SEEKFS_PEERS_REQUIRED'] === '1') throw new Error('awscli is not installed');
    skip(!aws, 'awscli is not installed');
    const bucket = await configured('s3');
    const keys = `AWS_ACCESS_KEY_ID=${peer!.accessKeyId} AWS_SECRET_ACCESS_KEY=${peer!.secretAccessKey}`;
    await command('aws', `env ${keys} "${aws!.stdout.trim()}" --region us-east-1 --endpoint-url "${peer!.endpoint}"`);
    const block = (await shellBlock('s3')).replace('s3://seekfs/', `s3://${bucket}/`);
    const output = await runShell(`head -c 9000000 /dev/urandom > warm.bin\n${block}`, 's3');
    expect(output).toMatch(/^v-1$/m);
  });
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
