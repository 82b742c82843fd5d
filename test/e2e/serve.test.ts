// `seekfs serve` as people run it: what it says, its workers, its signals, under load.
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/base/random.ts';
import { KIB } from '../../src/lib/base/units.ts';
import { ask } from '../support/http.ts';
import { seekfs, startServe, until, type ServeProcess } from '../support/serve-process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const BYTES = randomBytes(3_000_000);
let directory: string;
let serve: ServeProcess | undefined;

beforeAll(async () => {
  directory = await temporaryDirectory('seekfs-serve');
  await writeFile(join(directory, 'a.bin'), BYTES);
  await seekfs(directory, 'put', 'dev', 'a.bin');
});

afterEach(async () => {
  await serve?.stop();
});

interface Load {
  readonly good: () => number;
  readonly broken: () => number;
  /** Wrong bytes, or answers that are neither the bytes nor a failure. */
  readonly wrong: () => string[];
  readonly stop: () => Promise<void>;
}

/** Eight clients that read random ranges until they are stopped, and compare every byte. */
function startLoad(url: string, seed: number): Load {
  const random = seededRandom(seed);
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let [good, broken] = [0, 0];
  const stopped = new AbortController();
  const wrong: string[] = [];
  const client = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const off = Math.floor(random.unit() * BYTES.length);
      const len = Math.floor(random.unit() * 600 * KIB);
      try {
        const { status, body } = await ask(`${url}/blob?ns=dev&path=a.bin&off=${off}&len=${len}`, { agent });
        if (status === 200 && body.equals(BYTES.subarray(off, off + len))) good += 1;
        else if (status === 503) broken += 1;
        else wrong.push(`seed ${seed}: off ${off} len ${len}: ${status} with ${body.length} bytes`);
      } catch {
        broken += 1;
        // Nobody listens for a moment: let the others run.
        await new Promise(setImmediate);
      }
    }
  };
  const clients = Array.from({ length: 8 }, client);
  return {
    good: () => good,
    broken: () => broken,
    wrong: () => wrong,
    stop: async () => {
      stopped.abort();
      await Promise.all(clients);
      agent.destroy();
    },
  };
}

test('it says where it listens, what it serves from, and a line that works', async () => {
  serve = await startServe(directory, '--workers', '1');
  const said = serve.said();
  expect(said).toContain(`store file://${join(directory, 'store')}\ncache ${join(directory, 'cache')}\n`);
  const target = /^try: curl (\S+)$/m.exec(said)![1]!;
  expect((await ask(target)).status).toBe(200);
  expect(await serve.stop()).toBe(0);
});

test('its bounds are flags and settings, and --print-config lists them', async () => {
  const printed = await seekfs(
    directory,
    'serve',
    '--print-config',
    '--max-url-kib',
    '2',
    '--cors-origins',
    'http://a.test',
  );
  expect(printed).toContain('max_url_kib = 2 # --max-url-kib\n');
  expect(printed).toContain('cors_origins = "http://a.test" # --cors-origins\n');
  expect(printed).toContain('max_body_mib = 4 # default\n');
  const { settings } = JSON.parse(await seekfs(directory, 'serve', '--print-config', '--json')) as {
    settings: object[];
  };
  expect(settings).toContainEqual({ key: 'api.max_body_mib', value: 4, origin: 'default' });
  serve = await startServe(directory, '--workers', '2', '--max-url-kib', '2', '--cors-origins', 'http://a.test');
  const long = await ask(`${serve.url}/blob?ns=dev&path=${'x'.repeat(3000)}`, { headers: { origin: 'http://a.test' } });
  expect([long.status, long.headers['access-control-allow-origin']]).toEqual([414, 'http://a.test']);
});

test('an address of others without tokens is exit 2', async () => {
  for (const workers of ['1', '2']) {
    const failure = startServe(directory, '--workers', workers, '--listen', '0.0.0.0:0');
    await expect(failure).rejects.toThrow(/ended with 2: .*--insecure/);
  }
});

test('an address that is taken is exit 2', async () => {
  serve = await startServe(directory, '--workers', '1');
  const { port } = new URL(serve.url);
  for (const workers of ['1', '2']) {
    const failure = startServe(directory, '--workers', workers, '--listen', `127.0.0.1:${port}`);
    await expect(failure).rejects.toThrow(/ended with 2: .*address already in use \(EADDRINUSE\)/);
  }
});

test('SIGHUP takes new tokens in every worker', async () => {
  const tokens = join(directory, 'tokens');
  await writeFile(tokens, `${'a'.repeat(30)} dev\n`);
  serve = await startServe(directory, '--workers', '2', '--tokens', tokens);
  const statusOf = async (token: string): Promise<number> =>
    (await ask(`${serve!.url}/blob?ns=dev&path=a.bin&len=1`, { headers: { authorization: `Bearer ${token}` } })).status;
  expect(await statusOf('a'.repeat(30))).toBe(200);
  await writeFile(tokens, `${'b'.repeat(30)} dev\n`);
  serve.child.kill('SIGHUP');
  await until(() => serve!.said().split('reloaded tokens').length === 3);
  for (let count = 0; count < 4; count += 1) {
    expect([await statusOf('a'.repeat(30)), await statusOf('b'.repeat(30))]).toEqual([401, 200]);
  }
});

describe('under load', () => {
  test('kill -9 of a worker: no wrong byte, no short answer, and another takes its place', async () => {
    serve = await startServe(directory, '--workers', '2');
    const load = startLoad(serve.url, 7);
    try {
      // Workers accept for themselves: it may be that one has all connections, and that it is not the first one killed.
      for (let kills = 0; load.broken() === 0; kills += 1) {
        const goodThen = load.good();
        await until(() => load.good() > goodThen + 50);
        const before = serve.workers();
        expect(before).toHaveLength(2);
        const victim = before[kills % 2]!;
        process.kill(victim, 'SIGKILL');
        await until(() => serve!.workers().length === 2 && !serve!.workers().includes(victim));
      }
      const goodThen = load.good();
      await until(() => load.good() > goodThen + 50);
    } finally {
      await load.stop();
    }
    expect(load.wrong()).toEqual([]);
    expect(serve.said()).toContain('a worker died and is replaced');
    // No connection is lost on the way to either worker.
    const fresh = Array.from({ length: 20 }, () => ask(`${serve!.url}/blob?ns=dev&path=a.bin&len=10`));
    expect(new Set((await Promise.all(fresh)).map(({ status }) => status))).toEqual(new Set([200]));
    expect(await serve.stop()).toBe(0);
  });

  test('all workers are killed at once: others take their place on the same port', async () => {
    serve = await startServe(directory, '--workers', '2');
    const url = `${serve.url}/blob?ns=dev&path=a.bin&len=10`;
    const dead = serve.workers();
    for (const pid of dead) process.kill(pid, 'SIGKILL');
    await until(() => serve!.workers().length === 2 && serve!.workers().every((pid) => !dead.includes(pid)));
    await until(() =>
      ask(url).then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
    expect(await serve.stop()).toBe(0);
  });

  test('SIGTERM: what has begun is whole or visibly broken off, and the end is bounded', async () => {
    serve = await startServe(directory, '--workers', '2', '--drain', '2s');
    const load = startLoad(serve.url, 8);
    try {
      await until(() => load.good() > 50);
      expect(await serve.stop()).toBe(0);
    } finally {
      await load.stop();
    }
    expect(load.wrong()).toEqual([]);
  });

  test('/metrics adds up what all workers have served', async () => {
    serve = await startServe(directory, '--workers', '2');
    for (let count = 0; count < 10; count += 1) await ask(`${serve.url}/blob?ns=dev&path=a.bin&len=100`);
    let text = '';
    // A worker that does not answer at once is left out.
    await until(async () => {
      text = (await ask(`${serve!.url}/metrics`)).body.toString();
      return text.includes('seekfs_workers 2\n');
    });
    expect(text).toContain('seekfs_http_requests_total{route="blob",status="200"} 10\n');
    expect(text).toContain('seekfs_http_sent_bytes_total 1000\n');
  });
});
