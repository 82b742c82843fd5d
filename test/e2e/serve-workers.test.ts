// Two workers on one cache: what one fetched or was told about serves the other, and one that stands still stops nobody.
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KIB, MIB } from '../../src/lib/base/units.ts';
import { ask, type Answer, type Ask } from '../support/http.ts';
import { metricOf, seekfs, startServe, until, type ServeProcess } from '../support/serve-process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const BYTES = randomBytes(8 * MIB);
const PAGE_BYTES = MIB;

let directory: string;
let serve: ServeProcess;
let agents: Agent[] = [];

beforeEach(async () => {
  directory = await temporaryDirectory('seekfs-workers');
  await writeFile(join(directory, 'a.bin'), BYTES);
  await seekfs(directory, 'put', 'dev', 'a.bin', '--page-size', '1MiB');
  serve = await startServe(directory, '--workers', '2');
});

afterEach(async () => {
  for (const agent of agents) agent.destroy();
  agents = [];
  expect(await serve.stop()).toBe(0);
});

type Worker = (target: string, options?: Ask) => Promise<Answer>;

/** One connection to each worker: whose it is, the beginning of request ids says. */
async function bothWorkers(): Promise<Worker[]> {
  const workers = new Map<string, Worker>();
  while (workers.size < 2) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(agent);
    const worker: Worker = (target, options) => ask(`${serve.url}${target}`, { ...options, agent });
    const { headers } = await worker('/healthz');
    workers.set(String(headers['x-request-id']).split('-')[0]!, worker);
  }
  return [...workers.values()];
}

const range = (off: number, len: number): string => `/blob?ns=dev&path=a.bin&off=${off}&len=${len}`;

test('cold pages that both are asked for at once cost one GET each', async () => {
  const workers = await bothWorkers();
  for (let page = 0; page < BYTES.length / PAGE_BYTES; page += 1) {
    const off = page * PAGE_BYTES + 10;
    const answers = await Promise.all(workers.map((worker) => worker(range(off, 100 * KIB))));
    for (const { status, body } of answers) {
      expect([status, body.equals(BYTES.subarray(off, off + 100 * KIB))]).toEqual([200, true]);
    }
  }
  expect(await metricOf(serve.url, 'seekfs_store_gets_total', 2)).toBe(BYTES.length / PAGE_BYTES);
});

test('what a hint to one of them fetched, the other reads without a GET', async () => {
  const [first, second] = await bothWorkers();
  const body = JSON.stringify({ windows: [{ path: 'a.bin', ranges: [[0, BYTES.length]] }] });
  expect((await first!('/hints?ns=dev', { method: 'POST', body })).status).toBe(202);
  await until(async () => (await metricOf(serve.url, 'seekfs_l2_written_bytes_total', 2)) >= BYTES.length);
  const gets = await metricOf(serve.url, 'seekfs_store_gets_total', 2);
  expect(gets).toBeGreaterThan(0);
  const answer = await second!(range(0, BYTES.length));
  expect([answer.status, answer.body.equals(BYTES)]).toEqual([200, true]);
  expect(await metricOf(serve.url, 'seekfs_store_gets_total', 2)).toBe(gets);
});

test('what a worker counted stays counted when it dies', async () => {
  const workers = await bothWorkers();
  for (const worker of workers) await worker(range(0, BYTES.length));
  const served = await metricOf(serve.url, 'seekfs_http_sent_bytes_total', 2);
  expect(served).toBeGreaterThanOrEqual(2 * BYTES.length);
  process.kill(serve.workers()[0]!, 'SIGKILL');
  // Until another has taken its place and answered, and after that.
  await until(async () => {
    const now = await metricOf(serve.url, 'seekfs_http_sent_bytes_total').catch(() => undefined);
    if (now !== undefined) expect(now).toBeGreaterThanOrEqual(served);
    return serve.workers().length === 2 && (await metricOf(serve.url, 'seekfs_workers').catch(() => 0)) === 2;
  });
});

test('while one stands still the other answers, and /metrics says that one is missing', async () => {
  const workers = await bothWorkers();
  const pids = serve.workers();
  process.kill(pids[0]!, 'SIGSTOP');
  try {
    // Whichever of the two connections is the stopped one's gets no answer.
    const metrics = await Promise.race(workers.map((worker) => worker('/metrics')));
    expect(metrics.body.toString()).toContain('seekfs_workers 1\n');
    const answer = await Promise.race(workers.map((worker) => worker(range(5, 70_000))));
    expect([answer.status, answer.body.equals(BYTES.subarray(5, 70_005))]).toEqual([200, true]);
  } finally {
    process.kill(pids[0]!, 'SIGCONT');
  }
  await until(async () => (await metricOf(serve.url, 'seekfs_workers')) === 2);
});
