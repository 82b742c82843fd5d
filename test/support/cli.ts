// The command line as a user has it: bin/run.js in a process of its own, with a home, a store and a cache of its own.
import { createHash } from 'node:crypto';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryDirectory } from './temporary-directory.ts';

const bin = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

export interface Outcome {
  /** Undefined where a signal ended it. */
  readonly status: number | undefined;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  readonly input?: string | Buffer | undefined;
  /** A descriptor instead of a pipe of Node's, which is a socket. */
  readonly stdout?: number | undefined;
}

export class Cli {
  /** Holds everything: home, work, data, cache. */
  readonly root: string;
  readonly work: string;
  readonly storePath: string;
  readonly cachePath: string;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(root: string, env: Readonly<Record<string, string>>) {
    this.root = root;
    this.work = join(root, 'work');
    this.storePath = join(root, 'data/seekfs/store');
    this.cachePath = join(root, 'cache/seekfs/l2');
    this.#env = env;
  }

  /** `env` comes on top of an environment with nothing of the machine's but PATH. */
  static async create(env: Readonly<Record<string, string>> = {}): Promise<Cli> {
    const root = await temporaryDirectory('seekfs-cli');
    await mkdir(join(root, 'work'), { recursive: true });
    await mkdir(join(root, 'home'));
    return new Cli(root, {
      PATH: process.env['PATH'] ?? '',
      HOME: join(root, 'home'),
      XDG_DATA_HOME: join(root, 'data'),
      XDG_CACHE_HOME: join(root, 'cache'),
      XDG_CONFIG_HOME: join(root, 'config'),
      // How full the machine is must not decide what a test sees.
      SEEKFS_FREE_RESERVE_GIB: '0',
      ...env,
    });
  }

  /** stdin is empty unless there is input, stdout and stderr are pipes. */
  spawn(args: readonly string[], options: RunOptions = {}): ChildProcess {
    return spawn(process.execPath, [bin, ...args], {
      cwd: options.cwd ?? this.work,
      env: { ...this.#env, ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', options.stdout ?? 'pipe', 'pipe'],
    });
  }

  async run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const child = this.spawn(args, options);
    if (options.input !== undefined) child.stdin!.end(options.input);
    return outcomeOf(child);
  }

  /** @throws where it does not end with 0 */
  async succeed(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const outcome = await this.run(args, options);
    if (outcome.status !== 0)
      throw new Error(`seekfs ${args.join(' ')} ended with ${outcome.status}: ${outcome.stderr}`);
    return outcome;
  }

  /** The document of `--json`. */
  async json(args: readonly string[], options: RunOptions = {}): Promise<unknown> {
    return JSON.parse((await this.succeed([...args, '--json'], options)).stdout.toString());
  }
}

export async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status: code ?? undefined, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() };
}

/** The counters that `--stats` printed. */
export function statsOf(outcome: Outcome): Readonly<Record<string, number>> {
  return JSON.parse(outcome.stderr.trim().split('\n').at(-1)!) as Record<string, number>;
}

/** Every file below the directory with a digest of its content: what "changed nothing" is compared by. */
export async function snapshot(directory: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const digests = await Promise.all(
    files.sort().map(async (file) => {
      const digest = createHash('sha256')
        .update(await readFile(file))
        .digest('hex');
      return [file.slice(directory.length), digest] as const;
    }),
  );
  return Object.fromEntries(digests);
}
