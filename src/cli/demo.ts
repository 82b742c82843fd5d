// What `seekfs demo` does: the main job end to end, through the very commands that a user would type, each a process of
// its own, in a temporary directory that is removed at the end. Every step compares what came back with the source.
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SeekfsError, throwIfAborted } from '../lib/base/errors.ts';
import { seededRandom } from '../lib/base/random.ts';
import { formatBytes, KIB, MIB } from '../lib/base/units.ts';

export interface DemoStep {
  readonly step: string;
  readonly verified: string;
  readonly elapsedMs: number;
}

interface Outcome {
  readonly stdout: Buffer;
  readonly stats: Readonly<Record<string, number>>;
}

const IMAGES = 300;
const IMAGE_BYTES = 48 * KIB;
const SHARD_BYTES = 96 * MIB;
const EXTENTS = 500;
const SEED = 42;

export class Demo {
  readonly #directory: string;
  /** The command line of `seekfs` itself: the Node at hand and the script that runs now. */
  readonly #command: readonly [string, string];
  readonly #signal: AbortSignal;
  readonly #onStep: (step: DemoStep) => void;
  readonly #random = seededRandom(SEED);

  private constructor(directory: string, options: DemoOptions) {
    this.#directory = directory;
    this.#command = [options.execPath, options.script];
    this.#signal = options.signal;
    this.#onStep = options.onStep;
  }

  /** Runs every step; the temporary directory is gone afterwards, whatever happens. @throws unexpected */
  static async run(options: DemoOptions): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), 'seekfs-demo-'));
    try {
      await new Demo(directory, options).#runAll();
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  async #runAll(): Promise<void> {
    await this.#step('make a data set', () => this.#makeData());
    await this.#step('seekfs put demo images shard.tar', () => this.#put());
    await this.#step('seekfs cat demo shard.tar (cold)', () => this.#readShard('cold'));
    await this.#step('seekfs cat demo shard.tar --at 1 (warm)', () => this.#readShard('warm'));
    await this.#step('seekfs warm demo', () => this.#warm());
    await this.#step(`seekfs readv demo: ${EXTENTS} random extents`, () => this.#readExtents());
    await this.#step('cp labels.csv STORE; seekfs manifest gen demo', () => this.#publishCopied());
    await this.#step('seekfs serve: GET /blob, POST /readv', () => this.#serve());
    await this.#step('seekfs fsck demo --deep', () => this.#check());
  }

  async #step(step: string, work: () => Promise<string>): Promise<void> {
    throwIfAborted(this.#signal);
    const startedMs = performance.now();
    const verified = await work();
    this.#onStep({ step, verified, elapsedMs: performance.now() - startedMs });
  }

  async #makeData(): Promise<string> {
    await mkdir(this.#path('images'));
    for (let image = 0; image < IMAGES; image += 1) {
      await writeFile(this.#path('images', `${image}.jpg`), this.#bytes(IMAGE_BYTES));
    }
    const block = this.#bytes(MIB);
    const shard = Buffer.alloc(SHARD_BYTES);
    for (let mib = 0; mib < SHARD_BYTES / MIB; mib += 1) {
      // One random block, told apart by its number, so that making the data takes no time.
      block.writeUInt32LE(mib, 0);
      block.copy(shard, mib * MIB);
    }
    await writeFile(this.#path('shard.tar'), shard);
    await writeFile(this.#path('labels.csv'), 'image,label\n'.repeat(1000));
    return `${IMAGES} images of ${formatBytes(IMAGE_BYTES)} and a shard of ${formatBytes(SHARD_BYTES)}, seed ${SEED}`;
  }

  async #put(): Promise<string> {
    await this.#seekfs(['put', 'demo', this.#path('images'), this.#path('shard.tar')]);
    const { stdout } = await this.#seekfs(['manifest', 'head', 'demo', '--short']);
    expect(stdout.toString().trim(), 'v-1', 'the current version');
    return 'v-1 is published: every object durable before the manifest, the manifest before HEAD';
  }

  async #readShard(temperature: 'cold' | 'warm'): Promise<string> {
    const pinned = temperature === 'warm' ? ['--at', '1'] : [];
    const { stdout, stats } = await this.#seekfs(['cat', 'demo', 'shard.tar', ...pinned]);
    expect(sha256(stdout), sha256(await readFile(this.#path('shard.tar'))), 'the SHA-256 of shard.tar');
    if (temperature === 'cold') return `SHA-256 equals the source; ${stats.gets} GETs`;
    expect(stats.gets! + stats.meta_gets! + stats.heads! + stats.lists!, 0, 'the requests of a warm, pinned cat');
    return 'SHA-256 equals the source; 0 GETs, 0 requests of any kind, in a new process';
  }

  async #warm(): Promise<string> {
    await this.#seekfs(['warm', 'demo']);
    await this.#seekfs(['warm', 'demo', '--check']);
    const { stats } = await this.#seekfs(['cat', 'demo', 'images/7.jpg', '--at', '1']);
    expect(stats.gets, 0, 'the GETs of a file that was warmed');
    return 'every page of every file is on the local disk and intact';
  }

  async #readExtents(): Promise<string> {
    const extents = this.#randomExtents();
    const { stdout } = await this.#seekfs(['readv', 'demo', '--file', '-'], JSON.stringify(extents));
    expect(sha256(stdout), sha256(await this.#expected(extents)), 'the SHA-256 of the extents');
    return `${formatBytes(stdout.length)} in request order, equal to the source`;
  }

  async #publishCopied(): Promise<string> {
    const objects = this.#path('store', 'namespaces', 'demo', 'files');
    await mkdir(objects, { recursive: true });
    await copyFile(this.#path('labels.csv'), join(objects, 'labels.csv'));
    await this.#seekfs(['manifest', 'gen', 'demo', 'labels.csv']);
    const { stdout } = await this.#seekfs(['cat', 'demo', 'labels.csv', '--at', '2']);
    expect(sha256(stdout), sha256(await readFile(this.#path('labels.csv'))), 'the SHA-256 of labels.csv');
    const failure = await this.#seekfs(['cat', 'demo', 'labels.csv', '--at', '1']).catch((error: unknown) => error);
    expect(failure instanceof Error, true, 'that v-1 has no labels.csv');
    return 'v-2 has the file that was copied in by hand; v-1 is as it was';
  }

  async #serve(): Promise<string> {
    const serve = this.#spawn(['serve', '--listen', '127.0.0.1:0']);
    const ended = new Promise((resolve) => serve.once('close', resolve));
    try {
      const url = await listeningUrl(serve);
      const blob = await fetch(`${url}/blob?ns=demo&path=shard.tar&off=1000000&len=100000`, { signal: this.#signal });
      const shard = await readFile(this.#path('shard.tar'));
      expect(
        sha256(Buffer.from(await blob.arrayBuffer())),
        sha256(shard.subarray(1_000_000, 1_100_000)),
        'the bytes of /blob',
      );
      const extents = this.#randomExtents();
      const body = JSON.stringify(extents);
      const readv = await fetch(`${url}/readv?ns=demo`, { method: 'POST', body, signal: this.#signal });
      const answered = Buffer.from(await readv.arrayBuffer());
      expect(sha256(answered), sha256(await this.#expected(extents)), 'the bytes of /readv');
    } finally {
      serve.kill('SIGTERM');
      await ended;
    }
    return `one range and ${EXTENTS} extents over HTTP, equal to the source`;
  }

  async #check(): Promise<string> {
    await this.#seekfs(['fsck', 'demo', '--deep']);
    return 'cache and bucket: no finding';
  }

  #randomExtents(): { path: string; off: number; len: number }[] {
    return Array.from({ length: EXTENTS }, () => {
      const isShard = this.#random.unit() < 0.5;
      const sizeBytes = isShard ? SHARD_BYTES : IMAGE_BYTES;
      const off = Math.floor(this.#random.unit() * (sizeBytes - 1));
      const path = isShard ? 'shard.tar' : `images/${Math.floor(this.#random.unit() * IMAGES)}.jpg`;
      return { path, off, len: Math.floor(this.#random.unit() * 8 * KIB) };
    });
  }

  async #expected(extents: readonly { path: string; off: number; len: number }[]): Promise<Buffer> {
    const files = new Map<string, Buffer>();
    const parts: Buffer[] = [];
    for (const { path, off, len } of extents) {
      const bytes = files.get(path) ?? (await readFile(this.#path(path)));
      files.set(path, bytes);
      parts.push(bytes.subarray(off, off + len));
    }
    return Buffer.concat(parts);
  }

  #bytes(length: number): Buffer {
    const words = new Uint32Array(length / 4);
    for (let word = 0; word < words.length; word += 1) words[word] = this.#random.unit() * 2 ** 32;
    return Buffer.from(words.buffer);
  }

  #path(...parts: string[]): string {
    return join(this.#directory, ...parts);
  }

  #spawn(args: readonly string[]): ChildProcess {
    const [execPath, script] = this.#command;
    return spawn(execPath, [script, ...args], {
      cwd: this.#directory,
      env: {
        HOME: this.#directory,
        SEEKFS_STORE: pathToFileURL(this.#path('store')).href,
        SEEKFS_CACHE: this.#path('cache'),
        // The demo works on a disk that is nearly full, too: what it writes is gone when it ends.
        SEEKFS_FREE_RESERVE_GIB: '0',
      },
      stdio: ['pipe', 'pipe', 'pipe'],
      signal: this.#signal,
    });
  }

  /** Runs one command to its end. @throws unexpected with what it said, where its exit status is not 0 */
  async #seekfs(args: readonly string[], input = ''): Promise<Outcome> {
    const child = this.#spawn([...args, '--stats']);
    child.stdin!.end(input);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout!.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr!.on('data', (chunk: Buffer) => stderr.push(chunk));
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', () => reject(new SeekfsError('interrupted', 'interrupted')));
      child.once('close', resolve);
    });
    const said = Buffer.concat(stderr).toString().trim();
    if (status !== 0) throw new SeekfsError('unexpected', `seekfs ${args.join(' ')} ended with ${status}: ${said}`);
    const stats = JSON.parse(said.slice(said.lastIndexOf('\n') + 1)) as Record<string, number>;
    return { stdout: Buffer.concat(stdout), stats };
  }
}

export interface DemoOptions {
  readonly execPath: string;
  readonly script: string;
  readonly signal: AbortSignal;
  readonly onStep: (step: DemoStep) => void;
}

async function listeningUrl(serve: ChildProcess): Promise<string> {
  let said = '';
  for await (const chunk of serve.stderr!) {
    said += String(chunk);
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(said);
    if (url) return url[0];
  }
  throw new SeekfsError('unexpected', `seekfs serve ended without listening: ${said.trim()}`);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function expect<T>(actual: T, expected: T, what: string): void {
  if (actual !== expected) {
    throw new SeekfsError('unexpected', `${what}: expected ${String(expected)}, got ${String(actual)}`);
  }
}
