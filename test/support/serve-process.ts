// `seekfs serve` as a process of its own, over a store and cache in a directory of the test's: end-to-end tests of the
// Blob API with its workers, signals and exit statuses.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ask } from './http.ts';

const SCRIPT = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

function environment(directory: string): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    HOME: directory,
    SEEKFS_STORE: `file://${join(directory, 'store')}`,
    SEEKFS_CACHE: join(directory, 'cache'),
    // How full the machine is must not decide what a test sees.
    SEEKFS_FREE_RESERVE_GIB: '0',
  };
}

/** Runs one command to its end; rejects where its exit status is not 0. */
export async function seekfs(directory: string, ...args: string[]): Promise<string> {
  // One byte a character, so that outputs compare byte for byte.
  const options = {
    cwd: directory,
    env: environment(directory),
    encoding: 'latin1' as const,
    maxBuffer: 64 * 1024 * 1024,
  };
  return (await promisify(execFile)(process.execPath, [SCRIPT, ...args], options)).stdout;
}

export interface ServeProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Everything that it said so far. */
  readonly said: () => string;
  /** Process ids of its workers. */
  readonly workers: () => number[];
  /** SIGTERM, and its exit status. */
  readonly stop: () => Promise<number | null>;
}

/** @throws with what it said where it ends instead of listening */
export async function startServe(directory: string, ...args: string[]): Promise<ServeProcess> {
  const listen = args.includes('--listen') ? [] : ['--listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, [SCRIPT, 'serve', ...listen, ...args], {
    cwd: directory,
    env: environment(directory),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  const url = await new Promise<string>((resolve, reject) => {
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      const match = /listening on (\S+)[^]*try: /.exec(said);
      if (match) resolve(match[1]!);
    });
    child.once('exit', (status) => reject(new Error(`serve ended with ${status}: ${said}`)));
  });
  return {
    url,
    child,
    said: () => said,
    workers: () => {
      const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
      return children.trim().split(' ').filter(Boolean).map(Number);
    },
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      return child.exitCode;
    },
  };
}

/** Bounded by the test's own time-out. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Of a metric without labels, summed over so many workers at least; 0 where nobody counted yet. */
export async function metricOf(url: string, name: string, workers = 1): Promise<number> {
  let text = '';
  const valueOf = (metric: string): number => Number(new RegExp(`^${metric} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  // A worker that does not answer at once is left out.
  await until(async () => {
    text = (await ask(`${url}/metrics`)).body.toString();
    return valueOf('seekfs_workers') >= workers;
  });
  return valueOf(name);
}
