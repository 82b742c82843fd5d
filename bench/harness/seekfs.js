// The seekfs under test: the built CLI of this tree, with a home of its own, and its `--stats` line.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { quote, run } from './process.js';

const BIN = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

export class Seekfs {
  #env;
  #flags;
  #bin;

  /**
   * @param {string} directory for its home, its store and its configuration
   * @param {{ store?: string, s3?: import('./peers.js').S3Origin, engine?: string, config?: string, bin?: string }}
   * [options] an S3 origin, or the directory store; `bin` of another tree
   */
  constructor(directory, options = {}) {
    this.#bin = options.bin ?? BIN;
    const home = join(directory, 'home');
    mkdirSync(home, { recursive: true });
    const kept = Object.entries(process.env).filter(([name]) => !/^(SEEKFS_|XDG_|AWS_)/.test(name));
    // The reserve is a share of the whole disk: where that is nearly full, nothing would be cached.
    this.#env = { ...Object.fromEntries(kept), HOME: home, SEEKFS_FREE_RESERVE_GIB: '0' };
    const config = join(directory, 'seekfs.toml');
    const { s3 } = options;
    const s3Section = s3
      ? `[s3]\nengine = "${options.engine ?? 'undici'}"\nendpoint = "${s3.endpoint}"\nregion = "us-east-1"\n` +
        `bucket = "${s3.bucket}"\naccess_key_id = "${s3.accessKey}"\nsecret_access_key = "${s3.secretKey}"\n` +
        'get_budget_per_sec = 100000\n'
      : '';
    writeFileSync(config, `${options.config ?? ''}\n${s3Section}`);
    const store = s3 ? `s3://${s3.bucket}` : `file://${options.store ?? join(directory, 'store')}`;
    this.#flags = `--config ${quote(config)} --store ${quote(store)}`;
  }

  get env() {
    return this.#env;
  }

  /** A shell command line. @param {string} args already quoted @param {string} [cache] */
  line(args, cache) {
    const cacheFlag = cache ? `--cache ${quote(cache)}` : '';
    return `${quote(process.execPath)} ${quote(this.#bin)} ${args} ${this.#flags} ${cacheFlag}`;
  }

  /**
   * Runs a command.
   * @param {string} args
   * @param {{ cache?: string, into?: string, dropped?: boolean }} [options] `into`: the rest of a pipe; `dropped`: its stdout
   */
  async run(args, options = {}) {
    const output = options.into ? `| ${options.into}` : options.dropped ? '> /dev/null' : '';
    const line = `${this.line(args, options.cache)} --stats --no-progress`;
    const done = await run(`${line} ${output}`, { env: this.#env });
    const stats = done.stderr.split('\n').findLast((text) => text.startsWith('{'));
    if (!stats) throw new Error(`no --stats line from: ${line}\n${done.stderr.slice(-2000)}`);
    return { ...done, stats: JSON.parse(stats) };
  }

  /**
   * Starts `serve` on a free port.
   * @param {{ cache: string, workers?: number }} options
   * @returns {Promise<{ url: string, pid: number, stop: () => Promise<void> }>}
   */
  async serve({ cache, workers = 1 }) {
    const line = `exec ${this.line(`serve --listen 127.0.0.1:0 --workers ${workers}`, cache)}`;
    const child = spawn('bash', ['-c', line], { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise((resolve) => child.on('exit', resolve));
    let said = '';
    const url = await new Promise((resolve, reject) => {
      const read = (text) => {
        said += text;
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(said);
        if (found) resolve(found[0]);
      };
      child.stdout.setEncoding('utf8').on('data', read);
      child.stderr.setEncoding('utf8').on('data', read);
      child.on('exit', () => reject(new Error(`serve ended: ${said}`)));
    });
    return {
      url,
      pid: child.pid,
      stop: async () => {
        child.kill('SIGTERM');
        await ended;
      },
    };
  }
}
